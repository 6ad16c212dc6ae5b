"""A molecule whose page is looked at."""

import pytest
from ase.build import molecule
from fock import solved

from hampred.prediction import OpenShellPrediction, Prediction


@pytest.fixture(scope="package")
def water() -> Prediction:
    """Five occupied orbitals and two empty ones."""
    return solved(molecule("H2O"))


@pytest.fixture(scope="package")
def methyl() -> OpenShellPrediction:
    """A radical: five α and four β electrons in eight orbitals."""
    return solved(molecule("CH3"), spin=1)
