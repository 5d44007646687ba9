import yaml


def read_config(path="conf/config.yml"):
    with open(path) as stream:
        return yaml.load(stream, Loader=yaml.SafeLoader)
