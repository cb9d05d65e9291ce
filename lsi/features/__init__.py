"""From images to features: the backbones, the extraction and the standardisation."""

from lsi.features.backbone import Backbone
from lsi.features.backbones import load_backbone, versions_of_weights
from lsi.features.exported import hash_of_model
from lsi.features.extract import FEATURES_VERSION, Plan, extract, measure_images, plan
from lsi.features.fast import bfloat16_is_fast
from lsi.features.joined import Source, join_embeddings, join_probabilities
from lsi.features.measures import MEASURES, measure
from lsi.features.standardise import Standardisation, fit_standardisation
from lsi.features.text import NAME as TEXT_ENCODER
from lsi.features.text import embed, weights_of_text_encoder
from lsi.features.views import ViewedImages

__all__ = [
    "FEATURES_VERSION",
    "MEASURES",
    "TEXT_ENCODER",
    "Backbone",
    "Plan",
    "Source",
    "Standardisation",
    "ViewedImages",
    "bfloat16_is_fast",
    "embed",
    "extract",
    "fit_standardisation",
    "hash_of_model",
    "join_embeddings",
    "join_probabilities",
    "load_backbone",
    "measure",
    "measure_images",
    "plan",
    "versions_of_weights",
    "weights_of_text_encoder",
]
