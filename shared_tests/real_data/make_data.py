"""Export the two real data sets to data/, once, from scikit-learn.

uv run --with scikit-learn==1.9.1 --with safetensors==0.8.0 \
    python -m shared_tests.real_data.make_data

digits    x (1797, 8, 8) uint8 in 0..16, target (1797) uint8 in 0..9
          Alpaydin, Kaynak 1998, Optical Recognition of Handwritten Digits
diabetes  x (442, 10) float64, target (442) float64, neither scaled
          Efron, Hastie, Johnstone, Tibshirani 2004, Ann. Statist. 32, 407
"""

import pathlib

import numpy as np
from safetensors.numpy import save_file
from sklearn.datasets import load_diabetes, load_digits

DATA = pathlib.Path(__file__).resolve().parent / "data"

if __name__ == "__main__":
    digits, diabetes = load_digits(), load_diabetes(scaled=False)
    sets = {
        "digits": (
            digits.images.astype(np.uint8),
            digits.target.astype(np.uint8),
        ),
        "diabetes": (diabetes.data, diabetes.target),
    }
    for name, (x, target) in sets.items():
        arrays = {"x": np.ascontiguousarray(x), "target": target}
        save_file(arrays, DATA / f"{name}.safetensors")
