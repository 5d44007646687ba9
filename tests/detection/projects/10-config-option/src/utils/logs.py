import logging


def get_logger(name, level):
    logging.basicConfig(filename="pipeline.log", level=level)
    return logging.getLogger(name)
