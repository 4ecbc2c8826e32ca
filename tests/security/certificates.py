"""Certificates of servers that aren't what they should be; the authority is that of tests.parameters.certificates."""

from __future__ import annotations

import ssl
from pathlib import Path

from tests.parameters.certificates import NAME, Certificates, openssl

_ALT_NAMES = f"subjectAltName=DNS:{NAME},IP:127.0.0.1"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# `openssl x509` learnt to date a certificate back only lately; `openssl ca` can, with files to keep its books in.
_BOOKS = """
[ca]
default_ca = books
[books]
database = {0}/index
serial = {0}/serial
new_certs_dir = {0}
default_md = sha256
unique_subject = no
policy = any
x509_extensions = of_server
[any]
commonName = supplied
[of_server]
subjectAltName = {1}
"""
_DATES = {
    "good": ("20200101000000Z", "20991231000000Z"),
    "expired": ("20200101000000Z", "20200201000000Z"),
    "not yet valid": ("20980101000000Z", "20991231000000Z"),
}


class Presented:
    """What servers may present, by its name, as contexts for their side; `own` is what is self-signed."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.ca = certificates.ca
        self.own = directory / "self-signed.crt"
        own_key = self.own.with_suffix(".key")
        subject = ("-subj", f"/CN={NAME}", "-addext", _ALT_NAMES)
        openssl("req", "-x509", *_KEY, *subject, "-days", "2", "-keyout", own_key, "-out", self.own)
        self.contexts = {"self-signed": _context(self.own, own_key)}
        key, request = directory / "server.key", directory / "server.csr"
        openssl("req", "-new", *_KEY, "-subj", f"/CN={NAME}", "-keyout", key, "-out", request)
        (directory / "index").touch()
        (directory / "serial").write_text("1000\n")
        for name, dates in _DATES.items():
            self._sign(directory, name, f"DNS:{NAME},IP:127.0.0.1", dates)
            self.contexts[name] = _context(directory / f"{name}.crt", key)
        self._sign(directory, "wrong name", "DNS:db.example,IP:127.0.0.99", _DATES["good"])
        self.contexts["wrong name"] = _context(directory / "wrong name.crt", key)

    def _sign(self, directory: Path, name: str, names: str, dates: tuple[str, str]) -> None:
        books = directory / "books.cnf"
        books.write_text(_BOOKS.format(directory, names))
        from_to = ("-startdate", dates[0], "-enddate", dates[1])
        authority = ("-cert", self.ca, "-keyfile", self.ca.with_suffix(".key"))
        files = ("-in", directory / "server.csr", "-out", directory / f"{name}.crt")
        openssl("ca", "-batch", "-notext", "-config", books, *authority, *from_to, *files)


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
