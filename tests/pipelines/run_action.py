"""Runs the steps of a composite action under bash, as a GitHub runner does.

    run_action.py ACTION.yml INPUTS.json

Inputs are put where `${{ inputs.NAME }}` stands in `env:` and `if:`; scripts themselves
must hold no expression, for a runner would paste text into them. Prints the action's
outputs as JSON. Ends with the status of the first step that fails.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

from ruamel.yaml import YAML

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def value_of(expression, inputs, steps):
    """Evaluates the few expressions that actions here use."""
    for alternative in expression.split("||"):
        parts = alternative.strip().split(".")
        if parts[0] == "inputs" and len(parts) == 2:
            found = inputs[parts[1]]
        elif parts[0] == "steps" and len(parts) == 4 and parts[2] == "outputs":
            found = steps.get(parts[1], {}).get(parts[3], "")
        else:
            sys.exit(f"an expression this runner does not know: {expression}")
        if found:
            return found
    return ""


def wanted(condition, inputs):
    """Evaluates `inputs.NAME != ''` and the like."""
    match = re.fullmatch(r"inputs\.([\w-]+) (==|!=) ''", condition)
    if match is None:
        sys.exit(f"a condition this runner does not know: {condition}")
    is_empty = inputs[match[1]] == ""
    return is_empty if match[2] == "==" else not is_empty


def read_outputs(path):
    """Reads NAME=VALUE and NAME<<END lines."""
    outputs, lines = {}, iter(open(path, encoding="utf-8").read().splitlines())
    for line in lines:
        if "<<" in line:
            name, end = line.split("<<", 1)
            block = []
            for inner in lines:
                if inner == end:
                    break
                block.append(inner)
            outputs[name] = "\n".join(block)
        else:
            name, value = line.split("=", 1)
            outputs[name] = value
    return outputs


def main():
    action = YAML(typ="safe").load(open(sys.argv[1], encoding="utf-8"))
    given = json.load(open(sys.argv[2], encoding="utf-8"))
    unknown = set(given) - set(action["inputs"])
    if unknown:
        sys.exit(f"no such inputs: {sorted(unknown)}")
    inputs = {}
    for name, about in action["inputs"].items():
        if about.get("required") and name not in given:
            sys.exit(f"the input {name} is required")
        inputs[name] = given.get(name, str(about.get("default", "")))
    steps = {}
    with tempfile.TemporaryDirectory() as folder:
        for place, step in enumerate(action["runs"]["steps"]):
            if "if" in step and not wanted(step["if"], inputs):
                continue
            if EXPRESSION.search(step["run"]):
                sys.exit(f"step {place} pastes text into its script")
            outputs = os.path.join(folder, f"outputs-{place}")
            open(outputs, "w", encoding="utf-8").close()
            environment = dict(os.environ, GITHUB_OUTPUT=outputs)
            for name, value in step.get("env", {}).items():
                evaluate = lambda match: value_of(match[1], inputs, steps)
                environment[name] = EXPRESSION.sub(evaluate, str(value))
            script = os.path.join(folder, f"step-{place}.sh")
            with open(script, "w", encoding="utf-8") as file:
                file.write(step["run"])
            # As runners do for `shell: bash`.
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", script]
            status = subprocess.run(command, env=environment, stdout=sys.stderr).returncode
            if status != 0:
                sys.exit(status)
            steps[step.get("id", str(place))] = read_outputs(outputs)
    results = {
        name: EXPRESSION.sub(lambda match: value_of(match[1], inputs, steps), about["value"])
        for name, about in action.get("outputs", {}).items()
    }
    json.dump(results, sys.stdout)


main()
