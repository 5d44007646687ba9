"""Bytes on disk and what they mean, one file for each format.

    values         what params and metrics files say: YAML (`yaml12`), JSON, TOML, Python (`python_params`)
    editing        the smallest change that makes them say something else
    limits         how big and deep such files may be
    dvc_yaml       pipelines: stages, params, metrics, plots
    dvc_lock       what the stages were run with, byte for byte as DVC writes it
    dvc_file       one file or folder of data under DVC's care
    interpolation  `${…}`, `foreach` and `matrix` of pipelines
    run_cache      the keys of finished stages
    directory      the list of files that a folder in the cache is
    config         `.dvc/config` and its three companions
    ignore         lines of `.gitignore`, and `.dvcignore`
    ref_names      `refs/exps/…` and the names of experiments
    notebook       notebooks: canonical bytes, parameters, what counts as a change

Bytes come in, dataclasses go out, and back. Nothing here starts a process or knows what a run is.
"""
