// A proof checked by sigstore-js: its signed notes and its RFC 6962 inclusion proofs; the few lines of C2SP tlog-proof
// around them are taken apart here. Reads {proof, leaf, name, keyId, publicKey} as JSON; prints "proven", or why not.
const { createPublicKey } = require("node:crypto");
const { verifyCheckpoint } = require("@sigstore/verify/dist/tlog/checkpoint.js");
const { verifyMerkleInclusion } = require("@sigstore/verify/dist/tlog/merkle.js");

const given = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const at = given.proof.indexOf("\n\n");
const [first, index, ...hashes] = given.proof.slice(0, at).split("\n");
const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(given.publicKey, "base64")]);
const log = {
  baseURL: given.name,
  logID: Buffer.from(given.keyId, "hex"),
  publicKey: createPublicKey({ key: spki, format: "der", type: "spki" }),
};
try {
  if (first !== "c2sp.org/tlog-proof@v1") throw new Error("not a tlog-proof");
  const entry = {
    canonicalizedBody: Buffer.from(given.leaf, "base64url"),
    inclusionProof: {
      logIndex: index.replace("index ", ""),
      hashes: hashes.map((line) => Buffer.from(line, "base64")),
      checkpoint: { envelope: given.proof.slice(at + 2) },
    },
  };
  const checkpoint = verifyCheckpoint(entry, [log]);
  if (checkpoint.origin !== given.name) throw new Error("another log");
  verifyMerkleInclusion(entry, checkpoint);
  console.log("proven");
} catch (error) {
  console.log(`refused: ${error.message}`);
}
