"""Makes tests/parity/golden/generation_metrics.npz with torch-fidelity, clean-fid and prdc.

    pip install torch==2.11.0 torch-fidelity==0.4.0 clean-fid==0.1.35 prdc==0.2
    python tests/parity/make_generation_metrics.py

Features are drawn from a seed (``cases.feature_sets``): real ones and fake ones that overlap in
part, 300 and 260 samples of 64 features; and 40 of each, fewer than features. Stored is what the
programs say of them, and the script prints it. FID is torch-fidelity's, checked against
clean-fid's; KID is torch-fidelity's with its own subsets, and clean-fid's with all samples of equal
sets; precision and recall are torch-fidelity's, checked against prdc's.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from cleanfid import fid as clean_fid
from prdc import compute_prdc
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

sys.path.insert(0, str(Path(__file__).parent))
from cases import FEATURE_SETS, GOLDEN, KID_SETTINGS, feature_sets  # noqa: E402


def frechet(real, fake):
    """torch-fidelity's FID."""
    statistics = [fid_features_to_statistics(torch.tensor(x)) for x in (fake, real)]
    found = fid_statistics_to_metric(*statistics, verbose=False)
    return found["frechet_inception_distance"]


def frechet_of_clean_fid(real, fake):
    moments = [(x.mean(axis=0), np.cov(x, rowvar=False)) for x in (real, fake)]
    return clean_fid.frechet_distance(*moments[0], *moments[1])


def main():
    golden = {}
    for name in FEATURE_SETS:
        real, fake = feature_sets(name)
        tensors = torch.tensor(fake), torch.tensor(real)
        subsets, size = KID_SETTINGS[name]
        kernel = kid_features_to_metric(
            *tensors, kid_subsets=subsets, kid_subset_size=size, rng_seed=2020, verbose=False
        )
        overlap = prc_features_to_metric(*tensors, prc_neighborhood=3, verbose=False)
        second = compute_prdc(real, fake, 3)
        fewest = min(len(real), len(fake))
        found = {
            "fid": frechet(real, fake),
            "kid": kernel["kernel_inception_distance_mean"],
            "kid_spread": kernel["kernel_inception_distance_std"],
            # All samples in one subset: the order of the draw does not matter.
            "mmd2": clean_fid.kernel_distance(
                fake[:fewest], real[:fewest], num_subsets=1, max_subset_size=fewest
            ),
            "precision": overlap["precision"],
            "recall": overlap["recall"],
        }
        print(name, {key: float(f"{value:.6g}") for key, value in found.items()})
        clean = frechet_of_clean_fid(real, fake)
        print(f"clean-fid's FID: {clean:.6g}, prdc's: {second}")
        assert abs(clean - found["fid"]) < 1e-3 * clean
        assert all(abs(second[key] - found[key]) < 1e-6 for key in ("precision", "recall"))
        golden |= {f"{name}/{key}": np.float64(value) for key, value in found.items()}
    np.savez_compressed(GOLDEN / "generation_metrics.npz", **golden)


if __name__ == "__main__":
    main()
