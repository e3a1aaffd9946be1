"""A second verifier, from docs/LEDGER.md alone and without ownerd: `verify` names the first damage, or returns None."""
# fmt: off
import base64 as b64
import hashlib
import json
import re
from datetime import datetime
from functools import reduce

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

RP, LONGEST, HOUR = "ownerd:owner", (30 * 24 + 1) * 3_600_000, 3_600_000
B32, N, TIME = (32, 32), range(2**53), r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d\.\d{3}Z"
ID, ANY, LABELS = "[!-~]{1,64}", r"(?s).{1,64}", [r"[a-z][a-z_-]{0,31}(/(0|[1-9]\d{0,3}))?", B32]
EC, RSA = {"kty": "EC", "crv": "P-256|P-384", "x": (32, 48), "y": (32, 48)}, {"kty": "RSA", "n": (256, 512), "e": (3, 4)}
FIDO2 = {"type": "fido2", "id": ID, "credential": (1, 1023), "public_key": EC | {"crv": "P-256", "x": B32, "y": B32},
         "rp_id": RP, "user_verification": bool, "aaguid": "[0-9a-fA-F-]{1,36}", "software": bool}
CARD = {"type": "piv|pkcs11", "id": ID, "public_key": (EC, RSA), "algorithm": str, "software": bool}
KEYS, ERROR, ENTRY = {"verifier_key": str, "opening_key": B32}, {"error": "[A-Z][A-Za-z]{1,63}"}, {"entry": N}
BARE = "locked", "request", "refused", "failed"
FREE = {"genesis", "disclosure", "delivered", "grant-ended", "receipt", "offer", "anchored", *BARE}
FACTS = dict.fromkeys("unlocked owner-read owner-change provider-pinned offer anchored request".split(), {}) | {
    "genesis": KEYS, "key-rotated": ({}, KEYS), "restored": KEYS, "recovery-set": {"public_key": B32}, "failed": ERROR,
    "token-enrolled": {"token": (FIDO2, CARD)}, "token-removed": {"token": ID}, "erased": {"entries": list},
    "grant": {"until": TIME, "count": range(1, 100_001), "per_hour": range(1, 3601)}, "grant-ended": {"grant": N},
    "disclosure": ({}, {"grant": N}), "delivered": ENTRY, "receipt": ENTRY, "refused": ERROR,
    "locked": {"reason": "[ -~]{1,64}"}}
BY_TOKEN = {"type": "fido2", "token": ANY, "credential": (1, 1023), "client_data": (1, 1024), "auth_data": (1, 1024)}
BY_CARD = {"type": "piv|pkcs11", "token": ANY, "algorithm": "ES256|ES384|RS256", "signature": (64, 512)}
CORE = {"log": "[0-9a-f]{32}", "time": TIME, "kind": "|".join(FACTS), "nonce": (16, 16), "size": N, "root": B32}
LEAF = {"v": range(1, 2), "core": CORE | {"commitments": LABELS, "facts": dict}, "outcome": LABELS,
        "opening": (None, B32), "vault": {"generation": N, "digest": B32},
        "approval": (None, BY_TOKEN | {"signature": (1, 128)}, BY_CARD, {"type": "recovery", "signature": (64, 64)})}
NOTE = "(ownerd/[0-9a-f]{32})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n\n((?:\u2014 [^ \n]+ [^ \n]+\n)+)"
def need(truth, name="NotCanonical"):
    if not truth:
        raise AssertionError(name)
def sha(data): return hashlib.sha256(data).digest()
def jcs(value): return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
def raw(text): return b64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
def b64u(data): return b64.urlsafe_b64encode(data).decode().rstrip("=")
def fits(value, form):
    """Whether JSON has a form: members, alternatives, (least, most) bytes, labels, a pattern, a range or a type."""
    if isinstance(form, dict):
        return isinstance(value, dict) and value.keys() == form.keys() and all(fits(value[k], form[k]) for k in form)
    if isinstance(form, tuple) and isinstance(form[0], int):
        good = isinstance(value, str) and re.fullmatch("[A-Za-z0-9_-]*", value, re.A) and len(value) % 4 != 1
        return good and b64u(raw(value)) == value and form[0] <= len(raw(value)) <= form[1]
    if isinstance(form, tuple):
        return any(value is None if one is None else fits(value, one) for one in form)
    if isinstance(form, list):
        good = isinstance(value, dict) and len(value) <= 256
        return good and all(re.fullmatch(form[0], k, re.A) and fits(value[k], form[1]) for k in value)
    if isinstance(form, str):
        return isinstance(value, str) and re.fullmatch(form, value, re.A)
    return type(value) is int and value in form if isinstance(form, range) else isinstance(value, form)
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
    leaf = json.loads(data.decode())
    need(len(data) <= 65536 and jcs(leaf) == data and fits(leaf, LEAF))
    core, one = leaf["core"], leaf["approval"] or {}
    facts, gone = core["facts"], core["facts"].get("entries", [0])
    need(fits(facts, FACTS[core["kind"]]) and not core["commitments"].keys() & leaf["outcome"].keys())
    need([ms(time) for time in (core["time"], facts.get("until", core["time"]))])
    need("verifier_key" not in facts or vkey(facts["verifier_key"]))
    if core["kind"] == "token-enrolled":
        need(public(facts["token"]["public_key"])[1] == facts["token"].get("algorithm", "ES256"))
    need(0 < len(gone) <= 4096 and all(fits(k, N) for k in gone) and gone == sorted(set(gone)))
    need(len(raw(one.get("signature", ""))) in {"ES256": [64], "ES384": [96]}.get(one.get("algorithm"), range(513)))
    return leaf
def approve(one, core, tokens, recovery):
    """Section 6."""
    challenge, signature = sha(f"ownerd/{core['kind']}/v1\0".encode() + jcs(core)), raw(one["signature"])
    if one["type"] == "recovery":
        need(core["kind"] in ("token-enrolled", "token-removed", "recovery-set", "unlocked"))
        key = ed25519.Ed25519PublicKey.from_public_bytes(recovery)
        return key.verify(signature, b"ownerd/recovery/v1\0" + challenge)
    token = tokens[one["token"]]
    key, algorithm = public(token["public_key"])
    need(one["type"] == token["type"])
    if one["type"] == "fido2":
        client = '{"type":"webauthn.get","challenge":"%s","origin":"%s","crossOrigin":false}' % (b64u(challenge), RP)
        data, client = raw(one["auth_data"]), client.encode()
        need(one["credential"] == token["credential"] and raw(one["client_data"]) == client and len(data) >= 37)
        need(data[:32] == sha(RP.encode()) and data[32] & 0x41 == 1 and bool(data[32] & 0x80) == (len(data) > 37))
        need(bool(data[32] & 4) == token["user_verification"])
        return key.verify(signature, data + sha(client), ec.ECDSA(hashes.SHA256()))
    message, digest = b"ownerd/card/v1\0" + challenge, hashes.SHA384() if algorithm == "ES384" else hashes.SHA256()
    need(one["algorithm"] == algorithm)
    if algorithm == "RS256":
        return key.verify(signature, message, padding.PKCS1v15(), digest)
    r, s = (int.from_bytes(part, "big") for part in (signature[:len(signature) // 2], signature[len(signature) // 2:]))
    return key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(digest))
def signed(note, keys):
    """Section 3: (place of the key among ``keys``, size, root) of a signed checkpoint."""
    found = re.fullmatch(NOTE, note.decode())
    for place, (name, ident, key) in list(enumerate(keys))[::-1]:
        for line in found[4].split("\n")[:-1]:
            blob = b64.b64decode(line.split(" ")[2], validate=True)
            if line.split(" ")[1] == name and blob[:4] == ident:
                need(b64.b64encode(blob).decode() == line.split(" ")[2] and found[1] == name)
                key.verify(blob[4:], note[:note.index(b"\n\n") + 1])
                return place, int(found[2]), b64.b64decode(found[3])
    raise AssertionError
def under(name, work, *given):
    try:
        return work(*given)
    except Exception as error:
        raise AssertionError(name) from error
def verify(entries, checkpoints, openings, given=None, heads=()):
    """Section 7, over rows (seq, leaf), (size, note), (seq, ciphertext)."""
    try:
        walk(entries, dict(checkpoints), dict(openings), given, heads)
    except AssertionError as damage:
        return str(damage)
def use(grant, time):
    need(grant, "BadGrant"), grant["uses"].append(ms(time))
    uses, rate = grant["uses"], grant["per_hour"]
    slow = len(uses) <= rate or uses[-1] - uses[-1 - rate] >= HOUR
    need(slow and time <= grant["until"] and len(uses) <= grant["count"], "BadGrant")
def walk(entries, notes, sealed, given, heads):
    peaks, roots, latest, keys, texts, since, bare, held = [], [sha(b"")], [""], [], [], [], None, False
    tokens, grants, recovery, enrolled, seen, gone, disclosed, waiting = {}, {}, None, False, set(), set(), set(), set()
    for seq, (place, data) in enumerate(entries):
        need(place == seq, "Gap")
        leaf = under("NotCanonical", parse, data)
        core, touch, opening = leaf["core"], leaf["approval"], leaf["opening"]
        kind, facts, size, time = core["kind"], core["facts"], core["size"], core["time"]
        log = core["log"] if seq == 0 else log
        need((kind == "genesis") == (seq == 0) and (seq or not touch), "BadGenesis"), need(core["log"] == log, "WrongLog")
        need(size <= seq, "Reordered"), need(seq - size <= 4096, "TooLate")
        need(raw(core["root"]) == roots[size], "WrongHistory"), need(time >= latest[size], "TimeBackwards")
        need(jcs(core) not in seen, "Replayed"), seen.add(jcs(core))
        if touch:
            itself = kind == "token-enrolled" and not enrolled
            by = {facts["token"]["id"]: facts["token"]} if itself else tokens
            under("BadApproval", approve, touch, core, by, recovery)
        need(touch or kind in FREE and (kind != "disclosure" or facts), "MissingApproval")
        if kind == "disclosure":
            facts and use(grants.get(facts["grant"]), time), disclosed.add(seq), waiting.add(seq)
        elif kind == "grant":
            need(0 < ms(facts["until"]) - ms(time) <= LONGEST, "BadGrant")
            grants[seq] = {**facts, "uses": []}
        elif kind == "grant-ended":
            need(grants.get(facts["grant"]), "BadGrant"), grants.update({facts["grant"]: None})
        elif kind == "token-enrolled":
            need(facts["token"]["id"] not in tokens, "BadToken")
            tokens, enrolled = tokens | {facts["token"]["id"]: facts["token"]}, True
        elif kind == "token-removed":
            need(tokens.pop(facts["token"], None), "BadToken")
        elif kind == "recovery-set":
            recovery = raw(facts["public_key"])
        elif kind == "delivered":
            need(facts["entry"] in waiting, "BadDelivery"), waiting.discard(facts["entry"])
        elif kind == "receipt":
            need(facts["entry"] in disclosed, "BadReceipt")
        elif kind == "erased":
            need(gone.issuperset(facts["entries"]), "BadErasure"), gone.difference_update(facts["entries"])
        elif "verifier_key" in facts:
            need(vkey(facts["verifier_key"])[0] == f"ownerd/{log}", "BadRotation" if seq else "BadGenesis")
            need(not {*facts.values()} & {*texts}, "BadRotation")
            keys, since, texts = [*keys, vkey(facts["verifier_key"])], [*since, seq], [*texts, *facts.values()]
        cipher = sealed.pop(seq, None)
        need(opening or cipher is None, "ExtraOpening"), need(not cipher or sha(cipher) == raw(opening), "BadOpening")
        gone |= {seq} if opening and cipher is None else set()
        node, at = sha(b"\0" + data), seq
        while at & 1:
            node, at = sha(b"\1" + peaks.pop() + node), at >> 1
        peaks.append(node), latest.append(max(latest[-1], time))
        roots.append(reduce(lambda right, left: sha(b"\1" + left + right), peaks[::-1]))
        if note := notes.pop(seq + 1, None):
            _, size, root = under("BadCheckpoint", signed, note, keys[-1:])
            need(size == seq + 1 and note.count(b"\n") == 5, "BadCheckpoint"), need(root == roots[-1], "RootMismatch")
            held = True
        good = kind in (*BARE, "genesis") or note and (bare is None or kind in ("unlocked", "restored"))
        need(good, "MissingCheckpoint")
        bare = bare if kind == "genesis" or kind in BARE and bare is not None else seq if kind in BARE and not note else None
    need(len(roots) > 1, "BadGenesis"), need(held, "MissingCheckpoint")
    need(max(notes, default=0) < len(roots), "Truncated"), need(not notes, "BadCheckpoint")
    need(not sealed, "ExtraOpening"), need(not gone, "MissingOpening")
    need(given is None or given in texts, "WrongVerifierKey")
    for head in heads:
        place, size, root = under("BadHead", signed, head, keys)
        need(size < len(roots), "RolledBack")
        after = since[place + 1] if place + 1 < len(keys) else size
        need(root == roots[size] and (since[place] < size or place == 0) and size <= after, "Forked")
