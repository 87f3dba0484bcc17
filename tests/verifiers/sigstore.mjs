// Has npm's @sigstore/verify judge a bundle.
//
//   node sigstore.mjs PACKAGE TRUSTED-ROOT BUNDLE ARTIFACT QUESTION
//
// PACKAGE is the folder of the package to use, QUESTION is JSON: complete (its own
// thresholds, or none but one time-stamp), identity, issuer, predicateType.
// Ends with 0 if it accepts, 1 if it refuses, 2 if it breaks.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [packageFolder, trustedRootFile, bundleFile, artifactFile, questionText] =
  process.argv.slice(2);
const require = createRequire(`${packageFolder}/dist/index.js`);
const { toSignedEntity, toTrustMaterial, Verifier } = require('./index.js');
const { bundleFromJSON } = require('@sigstore/bundle');
const { TrustedRoot } = require('@sigstore/protobuf-specs');

// What the libraries throw when they refuse.
const REFUSALS = ['VerificationError', 'PolicyError', 'ValidationError'];

// What its caller must look at: the library leaves statements alone.
class StatementError extends Error {}

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

function checkStatement(envelope, artifact, predicateType) {
  const statement = JSON.parse(envelope.payload.toString('utf8'));
  const digest = createHash('sha256').update(artifact).digest('hex');
  if (!statement.subject.some((subject) => subject.digest.sha256 === digest)) {
    throw new StatementError('the statement is about another artifact');
  }
  if (predicateType !== undefined && statement.predicateType !== predicateType) {
    throw new StatementError(`the statement is of type ${statement.predicateType}`);
  }
}

try {
  const question = JSON.parse(questionText);
  const artifact = readFileSync(artifactFile);
  const bundle = bundleFromJSON(readJson(bundleFile));
  const trust = toTrustMaterial(TrustedRoot.fromJSON(readJson(trustedRootFile)));
  const options = question.complete
    ? {}
    : { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 1 };
  const policy = {
    subjectAlternativeName: question.identity,
    extensions: question.issuer === undefined ? undefined : { issuer: question.issuer },
  };
  const signer = new Verifier(trust, options).verify(toSignedEntity(bundle, artifact), policy);
  if (bundle.content.$case === 'dsseEnvelope') {
    checkStatement(bundle.content.dsseEnvelope, artifact, question.predicateType);
  }
  console.log(`verified: signed by ${signer.identity?.subjectAlternativeName}`);
} catch (error) {
  const refused = REFUSALS.includes(error.name) || error instanceof StatementError;
  console.error(refused ? `refused: ${error.code ?? ''} ${error.message}` : error);
  process.exitCode = refused ? 1 : 2;
}
