"""A certificate authority for one run, and certificates for addresses, made by openssl."""

import subprocess
from pathlib import Path


class Authority:
    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir()
        self.file = folder / "ca.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7",
                      "-subj", "/CN=bench", "-keyout", "ca.key", "-out", "ca.pem")

    def issue(self, name: str, addresses: list[str]) -> tuple[Path, Path]:
        """The certificate and its key. All addresses are in one certificate."""
        (self._folder / f"{name}.ext").write_text(
            "subjectAltName = " + ", ".join(f"IP:{address}" for address in addresses) + "\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                      "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", "7", "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self._folder, check=True, stderr=subprocess.DEVNULL)
