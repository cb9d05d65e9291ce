"""From images to features: the backbones, the extraction and the standardisation."""

from lsi.features.backbones import Backbone, load_backbone
from lsi.features.extract import FEATURES_VERSION, Plan, extract, plan
from lsi.features.fast import bfloat16_is_fast
from lsi.features.standardise import Standardisation, fit_standardisation
from lsi.features.text import NAME as TEXT_ENCODER
from lsi.features.text import embed, weights_of_text_encoder
from lsi.features.views import ViewedImages

__all__ = [
    "FEATURES_VERSION",
    "TEXT_ENCODER",
    "Backbone",
    "Plan",
    "Standardisation",
    "ViewedImages",
    "bfloat16_is_fast",
    "embed",
    "extract",
    "fit_standardisation",
    "load_backbone",
    "plan",
    "weights_of_text_encoder",
]
