#!/usr/bin/env bash
# Signs a file with a Chancery signing service from any shell: bash, curl, jq and openssl.
#
#   sign.sh FILE [--sbom FILE] [--provenance FILE] [--profile NAME]
#
# CHANCERY_SIGNING_URL  https://HOST:8446
# CHANCERY_IDENTITY     PEM: the key, then its chain
# CHANCERY_TRUST        the CA's root certificate, PEM
#
# Leaves FILE.sig, FILE.pem and FILE.bundle.json, and checks the signature with openssl.
set -euo pipefail

# Says what is wrong and ends.
stop() {
    printf 'sign.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

[[ $# -ge 1 ]] || stop 'usage: sign.sh FILE [--sbom FILE] [--provenance FILE] [--profile NAME]' 2
for name in CHANCERY_SIGNING_URL CHANCERY_IDENTITY CHANCERY_TRUST; do
    [[ -n ${!name:-} ]] || stop "$name is not set" 2
done
file=$1
shift
sbom='' provenance='' profile=''
while [[ $# -gt 0 ]]; do
    [[ $# -ge 2 ]] || stop "$1 takes a value" 2
    case $1 in
        --sbom) sbom=$2 ;;
        --provenance) provenance=$2 ;;
        --profile) profile=$2 ;;
        *) stop "there is no option $1" 2 ;;
    esac
    shift 2
done
for given in "$file" ${sbom:+"$sbom"} ${provenance:+"$provenance"}; do
    [[ -f $given && -r $given ]] || stop "cannot read $given"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Asks the service: METHOD PATH OUTPUT [curl's options].
ask() {
    local method=$1 path=$2 output=$3
    shift 3
    local status
    status=$(curl --silent --show-error --retry 5 --retry-connrefused --max-time 300 \
        --cacert "$CHANCERY_TRUST" --cert "$CHANCERY_IDENTITY" --key "$CHANCERY_IDENTITY" \
        --request "$method" --output "$output" --write-out '%{http_code}' "$@" \
        "$CHANCERY_SIGNING_URL$path") || stop "cannot reach $CHANCERY_SIGNING_URL"
    [[ $status == 2?? ]] ||
        stop "refused ($status): $(jq --raw-output '.detail // .title // .' "$output" 2>/dev/null || cat "$output")"
}

digest=$(openssl dgst -sha256 -r "$file" | cut --delimiter=' ' --fields=1)
: > "$work/none"
openssl base64 -A -in "${sbom:-$work/none}" -out "$work/sbom"
openssl base64 -A -in "${provenance:-$work/none}" -out "$work/provenance"
jq --null-input --arg hash "sha256:$digest" --arg name "$(basename "$file")" \
    --arg profile "$profile" --rawfile sbom "$work/sbom" --rawfile provenance "$work/provenance" '
    {artifactHash: $hash, artifactName: $name}
    + (if $profile == "" then {} else {profile: $profile} end)
    + (if $sbom == "" then {} else {sbom: $sbom} end)
    + (if $provenance == "" then {} else {provenance: $provenance} end)' > "$work/request.json"

# Tried again with the same key, it is signed once.
ask POST /v1/signatures "$work/answer.json" --header 'content-type: application/json' \
    --header "idempotency-key: shell-$(openssl rand -hex 16)" --data-binary @"$work/request.json"
id=$(jq --raw-output .id "$work/answer.json")
for pair in signature:sig certificate:pem bundle:bundle.json; do
    ask GET "/v1/signatures/$id/${pair%%:*}" "$work/${pair##*:}"
done

openssl x509 -in "$work/pem" -noout -pubkey > "$work/key.pub"
openssl dgst -sha256 -verify "$work/key.pub" -signature "$work/sig" "$file" > "$work/verdict" ||
    stop "the signature of $file does not verify: $(cat "$work/verdict")"
for ending in sig pem bundle.json; do
    cp "$work/$ending" "$file.$ending"
done
printf 'signed %s sha256:%s as %s\n' "$file" "$digest" "$id"
