"""Experiments as checked YAML: ``load`` -> ``check`` -> ``build``; every error names file, line and key."""

from ppmm.config.build import build
from ppmm.config.check import check
from ppmm.config.difference import changed_keys
from ppmm.config.dump import dump
from ppmm.config.load import load, loads
from ppmm.config.node import ConfigList, ConfigNode
from ppmm.config.schema import Experiment, ExportSection, LoaderSection, TrainerSection

__all__ = [
    "ConfigList",
    "ConfigNode",
    "Experiment",
    "ExportSection",
    "LoaderSection",
    "TrainerSection",
    "build",
    "changed_keys",
    "check",
    "dump",
    "load",
    "loads",
]
