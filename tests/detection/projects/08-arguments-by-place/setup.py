from setuptools import setup

setup(name="loads", version=open("VERSION").read().strip())
