"""Build the extensions; everything else is in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "embedsignature": True,
    "freethreading_compatible": True,
}

# Aligned loops: painting takes a fifth longer where the loop over the rows happens to straddle two cache lines.
extensions = [
    Extension(f"rollcore.{name}", [f"src/rollcore/{name}.pyx"], extra_compile_args=["-O3", "-falign-loops=32"])
    for name in ("_smf", "_roll")
]

setup(ext_modules=cythonize(extensions, compiler_directives=DIRECTIVES))
