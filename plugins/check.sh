#!/usr/bin/env bash
# The packages of this folder as a stranger meets them: installed by pip, with seqaug, into an environment that has nothing else,
# and used by their names. `make plugins` runs it. The environment is made anew each time; PYTHON picks the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=$PWD/.venv-plugins
work=$environment/work
bin=$environment/bin
export OMP_NUM_THREADS=1

say() { echo; echo "--> $*"; }

say "install seqaug and the packages into .venv-plugins"
rm -rf "$environment"
"${PYTHON:-python3}" -m venv "$environment"
mkdir "$work"
# Copies: what setuptools builds beside its sources would stay in the checkout, and an old build of theirs would be installed.
tar -c --exclude=build --exclude='*.egg-info' --exclude=__pycache__ \
    pyproject.toml constraints.txt README.md LICENSE src plugins | tar -x -C "$work"
cd "$work"
packages=(seqaug-popularity seqaug-cooccurrence)
"$bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt . \
    './plugins/seqaug-popularity[test]' './plugins/seqaug-cooccurrence[test]'

say "their own tests"
for package in "${packages[@]}"; do
    (cd "plugins/$package" && "$bin/python" -m pytest -q)
done

# From here on in an empty folder: what is found was installed.
mkdir "$work/empty"
cd "$work/empty"
cp ../plugins/seqaug-cooccurrence/recipes/coserec_like.toml .
"$bin/python" - > small.csv <<'DATA'
print("user,item,time")
for user in range(60):
    for time in range(5 + user % 7):
        print(f"u{user},i{(user * 5 + time * (1 + user % 2)) % 30},{time}")
DATA
small=(--epochs 1 --threads 1 -s data.max_length=10 -s items.dim=16)

say "seqaug plugins list --load"
"$bin/seqaug" plugins list --load --json > list.json
"$bin/seqaug" plugins list --load -q | grep -e seqaug-popularity -e seqaug-cooccurrence

say "seqaug plugins check"
"$bin/seqaug" plugins check popularity_matched --kind noise_sources
"$bin/seqaug" plugins check popularity_matched --kind negative_samplers
"$bin/seqaug" plugins check cooccurrence

say "seqaug run"
"$bin/seqaug" run simdiffrec --noise popularity_matched:k=5 --negatives popularity_matched --data movietweetings \
    "${small[@]}" --out run -q

say "seqaug ablate"
"$bin/seqaug" ablate coserec_like.toml --variants correlation --data small.csv --seeds 2 --jobs 1 \
    "${small[@]}" --out recipe --json > recipe.json
"$bin/seqaug" ablate simdiffrec --axis noise=similarity:k=3,popularity_matched:k=3 --data small.csv --seeds 1 --jobs 1 \
    "${small[@]}" --out noise --json > noise.json

say "what the results say of the plugins"
"$bin/python" ../plugins/check_results.py .
