"""Experiments as checked YAML: ``load`` -> ``check`` -> ``build``; every error names file, line and key."""

from ppmm.config.build import build
from ppmm.config.check import check
from ppmm.config.difference import Change, changed_keys, changes
from ppmm.config.dump import dump
from ppmm.config.load import load, loads
from ppmm.config.node import ConfigList, ConfigNode
from ppmm.config.schema import Experiment, ExportSection, LoaderSection, TrainerSection

__all__ = [
    "Change",
    "ConfigList",
    "ConfigNode",
    "Experiment",
    "ExportSection",
    "LoaderSection",
    "TrainerSection",
    "build",
    "changed_keys",
    "changes",
    "check",
    "dump",
    "load",
    "loads",
]
