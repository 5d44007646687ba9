import joblib
import numpy as np

from settings import read_config


class Fit:
    def __init__(self, config):
        self.table = config["paths"]["table"]
        self.degree = config["fit"]["degree"]
        self.noise = config["fit"]["noise"]

    def run(self):
        x, y = np.load(self.table).T
        return np.polyfit(x, y + self.noise, self.degree)


def main():
    coefficients = Fit(read_config()).run()
    joblib.dump(coefficients, "fit.joblib")


main()
