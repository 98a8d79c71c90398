"""`slicer.parameterNodeWrapper` as its documentation describes it (parameter_nodes/*.md of Slicer's developer guide).

Types: bool, int, float, str, pathlib paths, enums, MRML nodes, and `typing.Union` and `typing.Optional` of these; the
annotations are Slicer's. Lists, tuples, dicts and parameter packs are not imitated: NotImplementedError.
"""

from __future__ import annotations

from Testing.harness.application.parameter_nodes.annotations import (
    Choice,
    Decimals,
    Default,
    Exclude,
    IsInstance,
    Maximum,
    Minimum,
    NotNone,
    SingleStep,
    Validator,
    WithinRange,
    findFirstAnnotation,
    getNodeTypes,
    isNodeOrUnionOfNodes,
    splitAnnotations,
    unannotatedType,
)
from Testing.harness.application.parameter_nodes.wrapper import (
    SlicerParameterNamePropertyName,
    findChildWidgetForParameter,
    isParameterNodeWrapper,
    parameterNodeWrapper,
)

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "IsInstance",
    "Maximum",
    "Minimum",
    "NotNone",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "findChildWidgetForParameter",
    "findFirstAnnotation",
    "getNodeTypes",
    "isNodeOrUnionOfNodes",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
    "splitAnnotations",
    "unannotatedType",
]
