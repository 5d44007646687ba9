"""Which functions and methods read and write files, and where in a call the path stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Does = Literal["read", "write", "list"]

# By full name: what it does, the place of the path among the words, and the path's keywords.
_READ_FIRST = """
cv2.imread imageio.imread imageio.v2.imread imageio.v3.imread skimage.io.imread matplotlib.pyplot.imread
matplotlib.image.imread PIL.Image.open numpy.load numpy.loadtxt numpy.genfromtxt numpy.fromfile numpy.memmap
numpy.recfromcsv joblib.load torch.load torch.jit.load scipy.io.loadmat scipy.io.wavfile.read scipy.sparse.load_npz
soundfile.read librosa.load h5py.File tables.open_file xarray.open_dataset xarray.load_dataset geopandas.read_file
tensorflow.keras.models.load_model keras.models.load_model keras.saving.load_model datasets.load_from_disk
pyarrow.parquet.read_table pyarrow.csv.read_csv pyarrow.feather.read_table fileinput.input linecache.getlines
onnx.load onnxruntime.InferenceSession spacy.load lightgbm.Booster catboost.Pool xgboost.DMatrix pandas.HDFStore
pandas.ExcelFile rasterio.open nibabel.load skops.io.load cloudpickle.load_file sklearn.datasets.load_files
sklearn.datasets.load_svmlight_file dill.load_file duckdb.read_csv safetensors.torch.load_file
""".split()
_WRITE = {
    "numpy.save": 0, "numpy.savez": 0, "numpy.savez_compressed": 0, "numpy.savetxt": 0, "joblib.dump": 1,
    "torch.save": 1, "torch.jit.save": 1, "cv2.imwrite": 0, "imageio.imwrite": 0, "imageio.imsave": 0,
    "skimage.io.imsave": 0, "matplotlib.pyplot.imsave": 0, "matplotlib.pyplot.savefig": 0, "scipy.io.savemat": 0,
    "scipy.sparse.save_npz": 0, "scipy.io.wavfile.write": 0, "soundfile.write": 0, "urllib.request.urlretrieve": 1,
    "pyarrow.parquet.write_table": 1, "pyarrow.csv.write_csv": 1, "pyarrow.feather.write_feather": 1,
    "tensorflow.keras.models.save_model": 1, "keras.models.save_model": 1, "onnx.save": 1, "skops.io.dump": 1,
    "plotly.io.write_image": 1, "plotly.io.write_html": 1, "safetensors.torch.save_file": 1, "dill.dump_session": 0,
    "sklearn.datasets.dump_svmlight_file": 2, "wget.download": 1, "gdown.download": 1,
}  # fmt: skip
_LIST = {
    "os.listdir", "os.scandir", "os.walk", "glob.glob", "glob.iglob", "torchvision.datasets.ImageFolder",
    "tensorflow.keras.utils.image_dataset_from_directory", "keras.utils.image_dataset_from_directory",
}  # fmt: skip
# `open` by other names; the mode is the second word.
OPENERS = {
    "open", "io.open", "codecs.open", "gzip.open", "bz2.open", "lzma.open", "zipfile.ZipFile", "tarfile.open",
    "h5py.File", "wave.open", "smart_open.open", "fsspec.open", "jsonlines.open", "builtins.open",
}  # fmt: skip
COPIERS = {
    "shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copytree", "shutil.move", "os.rename",
    "os.replace",
}  # fmt: skip
_PATH_KEYWORDS = (
    "filepath_or_buffer", "path_or_buf", "path", "filename", "file", "fname", "fp", "f", "filepath", "io", "buf",
    "excel_writer", "path_or_buffer", "root", "directory", "output_path",
)  # fmt: skip

# Methods of any object, by their name alone.
_METHODS_WRITE = frozenset(
    """
to_csv to_parquet to_json to_pickle to_excel to_feather to_hdf to_html to_markdown to_latex to_stata to_netcdf
to_file to_xml to_orc to_zarr savefig save_model save_pretrained save_weights write_csv write_parquet write_json
write_html write_image write_ipc tofile saveAsTextFile write_file export_text save_to_disk
""".split()
)
_METHODS_READ = frozenset({"load_model", "load_weights", "from_pretrained", "read_csv_file"})
_METHODS_LIST = frozenset({"flow_from_directory"})
_READS = re.compile(r"(pandas|polars|dask\.dataframe|geopandas|modin\.pandas)\.(read|scan)_\w+")
_NO_FILES = frozenset({"pandas.read_sql", "pandas.read_sql_query", "pandas.read_clipboard"})

CONFIG_LOADERS = frozenset(
    """
yaml.safe_load yaml.load yaml.full_load yaml.unsafe_load json.load json.loads toml.load toml.loads tomllib.load
tomllib.loads tomli.load tomli.loads rtoml.load hjson.load json5.load omegaconf.OmegaConf.load anyconfig.load
oyaml.safe_load simplejson.load ujson.load orjson.loads
""".split()
)
# What only wraps a mapping: its keys are still those of the file.
WRAPPERS = frozenset(
    """
Box ConfigBox DotMap DotDict Munch EasyDict AttrDict SimpleNamespace Namespace dict OrderedDict deepcopy copy
Bunch munchify create to_container Dict ConfigDict edict
""".split()
)
# Calls that look at a value without its steering anything.
SILENT = re.compile(
    r"(print|len|type|repr|isinstance|id|pprint|rich\.print|(log(ger|ging)?|console|LOG(GER)?)(\.\w+)+|warnings\.warn"
    r"|(mlflow|wandb|live|run)\.(log|log_params?|config\.update|init|set_tag))"
)

# Methods of loggers and trackers.
SILENT_METHOD = re.compile(r"log(_\w+)?$|(info|debug|warning|error|exception|critical)$")


def of(name: str) -> tuple[Does, int] | None:
    """What a function of a full name does with files, and where its path stands."""
    if name in _READ_FIRST or (_READS.fullmatch(name) and name not in _NO_FILES):
        return "read", 0
    if name in _WRITE:
        return "write", _WRITE[name]
    if name in _LIST:
        return "list", 0
    if name.endswith(".save_model") and name.count(".") > 1:
        return "write", 1
    if name.endswith(".load_model") and name.count(".") > 1:
        return "read", 0
    return None


def method(name: str) -> Does | None:
    """What a method does with the file that its first word names, whatever object it is of."""
    if name in _METHODS_WRITE:
        return "write"
    if name in _METHODS_LIST:
        return "list"
    return "read" if name in _METHODS_READ else None


def path_word(words: list[object], named: Mapping[str, object], place: int) -> object:
    """The value in the place of the path, by its place or by its keyword; None if there is none."""
    for keyword in _PATH_KEYWORDS:
        if keyword in named:
            return named[keyword]
    return words[place] if len(words) > place else None


def writes(mode: object) -> bool:
    """Whether a mode of `open` writes."""
    return isinstance(mode, str) and bool(set(mode) & set("wax"))


def appends(mode: object) -> bool:
    """Whether a mode of `open` keeps what is there: `a`, `r+`."""
    return isinstance(mode, str) and ("a" in mode or ("r" in mode and "+" in mode))
