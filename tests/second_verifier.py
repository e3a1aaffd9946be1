"""A second verifier, from docs/LEDGER.md alone and without ownerd: `verify` names the first damage, or returns None."""

# fmt: off
import base64 as b64
import hashlib
import json
import re
from datetime import datetime
from functools import reduce
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

RP, LONGEST, HOUR, BARE = "ownerd:owner", 721 * 3_600_000, 3_600_000, ("locked", "request", "refused", "failed")
FREE = {"genesis", "disclosure", "delivered", "grant-ended", "receipt", "offer", "anchored", *BARE}
FORMS = json.loads((Path(__file__).parents[1] / "docs/LEDGER.md").read_text().split("```json\n")[-1].split("```")[0])
NOTE = "(ownerd/[0-9a-f]{32})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n\n((?:\u2014 [^ \n]+ [^ \n]+\n)+)"
def need(truth, name="NotCanonical"):
    if not truth:
        raise AssertionError(name)
def sha(data): return hashlib.sha256(data).digest()
def join(right, left): return sha(b"\1" + left + right)
def jcs(value): return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
def raw(text): return b64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
def b64u(data): return b64.urlsafe_b64encode(data).decode().rstrip("=")
def ms(time): return round(datetime.fromisoformat(time).timestamp() * 1000)
def vkey(text):
    name, ident, key = text.split("+", 2)
    data = b64.b64decode(key, validate=True)
    need(data[0] == 1 and b64.b64encode(data).decode() == key and ident == sha(name.encode() + b"\n" + data)[:4].hex())
    return name, bytes.fromhex(ident), ed25519.Ed25519PublicKey.from_public_bytes(data[1:])
def public(jwk):
    n = {name: int.from_bytes(raw(text), "big") for name, text in jwk.items() if name in "xyne"}
    if jwk["kty"] == "RSA":
        need(all(raw(jwk[k])[0] and n[k] & 1 for k in "ne") and n["n"] >> 2047 and n["e"] >= 65537)
        return rsa.RSAPublicNumbers(n["e"], n["n"]).public_key(), "RS256"
    curve, name, size = (ec.SECP256R1(), "ES256", 32) if jwk["crv"] == "P-256" else (ec.SECP384R1(), "ES384", 48)
    need(len(raw(jwk["x"])) == len(raw(jwk["y"])) == size)
    return ec.EllipticCurvePublicNumbers(n["x"], n["y"], curve).public_key(), name
def parse(data):
    text, leaf = data.decode(), json.loads(data)
    need(len(data) <= 65536 and jcs(leaf) == data and re.fullmatch(FORMS["leaf"], text, re.ASCII | re.DOTALL))
    core, one, facts = leaf["core"], leaf["approval"] or {}, leaf["core"]["facts"]
    need(re.fullmatch(FORMS["facts"][core["kind"]], jcs(facts).decode(), re.ASCII | re.DOTALL))
    numbers = [core["size"], leaf["vault"]["generation"], *(n for n in facts.values() if type(n) is int), *facts.get("entries", ())]
    need(max(numbers) < 2**53 and max(len(core["commitments"]), len(leaf["outcome"])) <= 256), need(not core["commitments"].keys() & leaf["outcome"].keys() and len(facts.get("entries", ())) <= 4096)
    need("entries" not in facts or facts["entries"] == sorted(set(facts["entries"]))), need(1 <= facts.get("count", 1) <= 100_000 and 1 <= facts.get("per_hour", 1) <= 3600), need([ms(core["time"]), ms(facts.get("until", core["time"])), "verifier_key" not in facts or vkey(facts["verifier_key"])])
    algorithm = core["kind"] == "token-enrolled" and facts["token"].get("algorithm", "ES256")
    need(not algorithm or public(facts["token"]["public_key"])[1] == algorithm)
    need(len(raw(one.get("signature", ""))) in {"ES256": [64], "ES384": [96]}.get(one.get("algorithm"), range(1, 513)) or not one)
    return leaf
def approve(one, core, tokens, recovery):
    challenge, signature = sha(f"ownerd/{core['kind']}/v1\0".encode() + jcs(core)), raw(one["signature"])
    if one["type"] == "recovery":
        need(core["kind"] in ("token-enrolled", "token-removed", "recovery-set", "unlocked"))
        return ed25519.Ed25519PublicKey.from_public_bytes(recovery).verify(signature, b"ownerd/recovery/v1\0" + challenge)
    token, data = tokens[one["token"]], raw(one.get("auth_data", ""))
    key, algorithm = public(token["public_key"])
    need(one["type"] == token["type"] and one.get("algorithm", "ES256") == algorithm)
    if one["type"] == "fido2":
        client = b'{"type":"webauthn.get","challenge":"%b","origin":"ownerd:owner","crossOrigin":false}' % b64u(challenge).encode()
        need(one["credential"] == token["credential"] and raw(one["client_data"]) == client and len(data) >= 37)
        need(data[:32] == sha(RP.encode()) and data[32] & 0x41 == 1 and bool(data[32] & 0x80) == (len(data) > 37))
        need(bool(data[32] & 4) == token["user_verification"])
        return key.verify(signature, data + sha(client), ec.ECDSA(hashes.SHA256()))
    message, digest = b"ownerd/card/v1\0" + challenge, hashes.SHA384() if algorithm == "ES384" else hashes.SHA256()
    if algorithm == "RS256":
        return key.verify(signature, message, padding.PKCS1v15(), digest)
    r, s = (int.from_bytes(part, "big") for part in (signature[:len(signature) // 2], signature[len(signature) // 2:]))
    return key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(digest))
def signed(note, keys):
    found = re.fullmatch(NOTE, note.decode())
    lines = [line.split(" ")[1:] for line in found[4].split("\n")[:-1]]
    for place, (name, ident, key) in list(enumerate(keys))[::-1]:
        for blob in [line[1] for line in lines if line[0] == name == found[1]]:
            data = b64.b64decode(blob, validate=True)
            if data[:4] == ident and b64.b64encode(data).decode() == blob:
                return key.verify(data[4:], note[:note.index(b"\n\n") + 1]) or (place, int(found[2]), b64.b64decode(found[3]))
    raise AssertionError
def under(name, work, *given):
    try:
        return work(*given)
    except Exception as error:
        raise AssertionError(name) from error
def verify(entries, checkpoints, openings, given=None, heads=()):
    try:
        walk(entries, dict(checkpoints), dict(openings), given, heads)
    except AssertionError as damage:
        return str(damage)
def use(grant, time):
    uses, rate = need(grant, "BadGrant") or grant["uses"], grant["per_hour"]
    slow = uses.append(ms(time)) or len(uses) <= rate or uses[-1] - uses[-1 - rate] >= HOUR
    need(slow and time <= grant["until"] and len(uses) <= grant["count"], "BadGrant")
def act(seq, kind, facts, time, log, s):
    entry, grant, token = facts.get("entry"), facts.get("grant"), facts.get("token")
    if kind == "disclosure":
        facts and use(s["grants"].get(grant), time), s["disclosed"].add(seq), s["waiting"].add(seq)
    if kind == "grant":
        need(0 < ms(facts["until"]) - ms(time) <= LONGEST, "BadGrant"), s["grants"].update({seq: {**facts, "uses": []}})
    if kind == "grant-ended":
        need(s["grants"].get(grant), "BadGrant"), s["grants"].update({grant: None})
    if kind == "token-enrolled":
        need(token["id"] not in s["tokens"], "BadToken"), s["tokens"].update({token["id"]: token}), s.update(first=False)
    need(kind != "token-removed" or s["tokens"].pop(token, None), "BadToken")
    s["code"] = raw(facts["public_key"]) if kind == "recovery-set" else s["code"]
    need(kind != "receipt" or entry in s["disclosed"], "BadReceipt")
    need(kind != "delivered" or entry in s["waiting"], "BadDelivery"), s["waiting"].discard(kind == "delivered" and entry)
    need(s["gone"].issuperset(facts.get("entries", ())), "BadErasure"), s["gone"].difference_update(facts.get("entries", ()))
    if "verifier_key" in facts:
        key, texts = vkey(facts["verifier_key"]), {*facts.values()}
        need(key[0] == f"ownerd/{log}" and not texts & s["texts"], "BadRotation" if seq else "BadGenesis")
        s["keys"].append(key), s["since"].append(seq), s["texts"].update(texts)
def walk(entries, notes, sealed, given, heads):
    peaks, roots, latest, seen, bare, held, log = [], [sha(b"")], [""], set(), None, False, None
    s = {name: set() for name in ("disclosed", "waiting", "gone", "texts")}
    s |= {"grants": {}, "tokens": {}, "keys": [], "since": [], "code": None, "first": True}
    for seq, (place, data) in enumerate(entries):
        need(place == seq, "Gap")
        leaf = under("NotCanonical", parse, data)
        core, touch, opening = leaf["core"], leaf["approval"], leaf["opening"]
        kind, facts, size, time, log = core["kind"], core["facts"], core["size"], core["time"], log or core["log"]
        need((kind == "genesis") == (seq == 0) and (seq or not touch), "BadGenesis")
        need(core["log"] == log, "WrongLog"), need(size <= seq, "Reordered"), need(seq - size <= 4096, "TooLate")
        need(raw(core["root"]) == roots[size], "WrongHistory"), need(time >= latest[size], "TimeBackwards")
        need(jcs(core) not in seen, "Replayed"), seen.add(jcs(core))
        by = {facts["token"]["id"]: facts["token"]} if kind == "token-enrolled" and s["first"] else s["tokens"]
        touch and under("BadApproval", approve, touch, core, by, s["code"])
        need(touch or (kind in FREE and (kind != "disclosure" or facts)), "MissingApproval")
        act(seq, kind, facts, time, log, s)
        cipher = sealed.pop(seq, None)
        need(opening or cipher is None, "ExtraOpening"), need(not cipher or sha(cipher) == raw(opening), "BadOpening")
        s["gone"] |= {seq} if opening and cipher is None else set()
        node, at = sha(b"\0" + data), seq
        while at & 1:
            node, at = join(node, peaks.pop()), at >> 1
        peaks.append(node), latest.append(max(latest[-1], time)), roots.append(reduce(join, peaks[::-1]))
        if note := notes.pop(seq + 1, None):
            _, size, root = under("BadCheckpoint", signed, note, s["keys"][-1:])
            need(size == seq + 1 and note.count(b"\n") == 5, "BadCheckpoint"), need(root == roots[-1], "RootMismatch")
        held, opens = held or note, bare is None or kind in ("unlocked", "restored")
        need(kind in (*BARE, "genesis") or (note and opens), "MissingCheckpoint")
        bare = bare if kind == "genesis" else (bare if note else bare or seq) if kind in BARE else None
    need(log, "BadGenesis"), need(held, "MissingCheckpoint"), need(max(notes, default=0) < len(roots), "Truncated")
    need(not notes, "BadCheckpoint"), need(not sealed, "ExtraOpening"), need(not s["gone"], "MissingOpening"), need(given is None or given in s["texts"], "WrongVerifierKey")
    for head in heads:
        place, size, root = under("BadHead", signed, head, s["keys"])
        need(size < len(roots), "RolledBack")
        in_force = (place == 0 or s["since"][place] < size) and size <= [*s["since"], size][place + 1]
        need(root == roots[size] and in_force, "Forked")
