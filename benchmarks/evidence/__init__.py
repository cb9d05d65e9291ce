"""The evidence: does LSI do what it claims, beside what else is at hand? One study a module."""

OURS = (  # detectors of wrong labels that are not peers
    "label_score",
    "without suspects",
    "leave-one-out self-confidence",
    "leave-one-out margin",
    "LSI full",
    "LSI diag",
    "LSI kron",
)
