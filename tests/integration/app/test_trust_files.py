"""What the daemon takes from ``trust.d``: certificates, attesters, and nothing that holds it up."""

from __future__ import annotations

import base64
import os

from cryptography.hazmat.primitives.serialization import Encoding

from ownerd.app.anchors import MAX_FILE_BYTES, MAX_FILES, read_anchors, read_attesters


def pem(provider_rig):
    return provider_rig.ca.certificate.public_bytes(Encoding.PEM)


def test_certificates_and_attesters_are_read_by_the_ends_of_their_names(tmp_path, provider_rig):
    (tmp_path / "a.pem").write_bytes(pem(provider_rig) * 2)
    (tmp_path / "b.attester.json").write_text(provider_rig.attestation_issuer.trust_file())
    (tmp_path / "c.json").write_text(provider_rig.attestation_issuer.trust_file())
    (tmp_path / "d.txt").write_bytes(pem(provider_rig))
    assert read_anchors(tmp_path) == provider_rig.anchors * 2
    assert read_attesters(tmp_path) == provider_rig.attesters
    assert read_anchors(tmp_path / "none") == []
    assert read_attesters(tmp_path / "none") == ()


def test_a_file_that_is_no_anchor_or_attester_is_left_out_alone(tmp_path, provider_rig, caplog):
    (tmp_path / "z.pem").write_bytes(pem(provider_rig))
    (tmp_path / "z.attester.json").write_text(provider_rig.attestation_issuer.trust_file())
    for name in ("a.pem", "a.attester.json"):
        (tmp_path / name).write_text("{}")
        os.mkfifo(tmp_path / f"b{name}")
        (tmp_path / f"c{name}").symlink_to("/dev/zero")
        (tmp_path / f"d{name}").mkdir()
        (tmp_path / f"e{name}").write_bytes(pem(provider_rig) + b"\n" * MAX_FILE_BYTES)
        (tmp_path / f"f{name}").symlink_to(tmp_path / "nowhere")
    assert read_anchors(tmp_path) == provider_rig.anchors
    assert read_attesters(tmp_path) == provider_rig.attesters
    assert caplog.text.count("left out") == 12
    assert str(tmp_path) not in caplog.text


def test_a_certificate_of_an_unknown_version_is_left_out_alone(tmp_path, provider_rig):
    der = provider_rig.ca.certificate.public_bytes(Encoding.DER)
    odd = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020105"))
    assert odd != der
    text = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(odd).decode()}\n-----END CERTIFICATE-----\n"
    (tmp_path / "a.pem").write_text(text)
    (tmp_path / "b.pem").write_bytes(pem(provider_rig))
    assert read_anchors(tmp_path) == provider_rig.anchors


def test_a_pipe_is_not_read_even_with_an_attester_in_it(tmp_path, provider_rig):
    pipe = tmp_path / "a.attester.json"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(descriptor, provider_rig.attestation_issuer.trust_file().encode())
        assert read_attesters(tmp_path) == ()
    finally:
        os.close(descriptor)


def test_a_bounded_number_of_files_is_read(tmp_path, provider_rig):
    for index in range(MAX_FILES + 5):
        (tmp_path / f"{index}.attester.json").write_text(provider_rig.attestation_issuer.trust_file())
    assert len(read_attesters(tmp_path)) == MAX_FILES
