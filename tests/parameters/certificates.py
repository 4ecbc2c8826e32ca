"""Certificates for the tests of TLS, made by the openssl command: two authorities, and a server's by one of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

NAME = "localhost"  # and 127.0.0.1: what the server's certificate is for
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Certificates:
    """Files in PEM format. `ca` signed `server`; `other_ca` signed nothing."""

    def __init__(self, directory: Path) -> None:
        self.ca = self._authority(directory, "right")
        self.other_ca = self._authority(directory, "other")
        self.key = directory / "server.key"
        self.server = directory / "server.crt"
        request, extensions = directory / "server.csr", directory / "server.ext"
        extensions.write_text(f"subjectAltName=DNS:{NAME},IP:127.0.0.1\n")
        openssl("req", "-new", *_KEY, "-subj", f"/CN={NAME}", "-keyout", self.key, "-out", request)
        signed_by = ("-CA", self.ca, "-CAkey", self.ca.with_suffix(".key"), "-CAcreateserial")
        openssl(
            "x509",
            "-req",
            "-in",
            request,
            *signed_by,
            "-days",
            "2",
            "-extfile",
            extensions,
            "-out",
            self.server,
        )

    @staticmethod
    def _authority(directory: Path, name: str) -> Path:
        certificate = directory / f"{name}-ca.crt"
        key = certificate.with_suffix(".key")
        subject = f"/CN=psqlpy's tests: {name} authority"
        openssl("req", "-x509", *_KEY, "-days", "2", "-subj", subject, "-keyout", key, "-out", certificate)
        return certificate


def openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr}")
