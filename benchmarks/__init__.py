"""Scripts that measure, run as `python -m benchmarks.<name>` from the repository. Results land in results/."""
