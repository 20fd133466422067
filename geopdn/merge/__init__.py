"""From the boxes of all windows to one box an object: joining, suppression, Soft-NMS, weighted boxes fusion."""

from geopdn.merge.decide import Decision, MergeRule, decide
from geopdn.merge.merging import METHODS, MergeResult, Method, merge
from geopdn.merge.ownership import core_array

__all__ = ["METHODS", "Decision", "MergeResult", "MergeRule", "Method", "core_array", "decide", "merge"]
