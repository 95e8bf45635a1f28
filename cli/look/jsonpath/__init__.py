"""kubectl's JSONPath: templates that print parts of objects. Pure.

https://kubernetes.io/docs/reference/kubectl/jsonpath/
"""

from .evaluate import EvaluationError, evaluate, find, one
from .parse import SyntaxFault, Template, parse

__all__ = ["EvaluationError", "SyntaxFault", "Template", "evaluate", "find", "one", "parse"]
