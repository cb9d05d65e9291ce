"""Decisions belong to a dataset: its name, and id and content of the sample, beside run and position.

Rows of before keep run and position alone until that run is opened, which knows what its samples are. A way back loses
nothing that the version before could tell: every row has its position still, that of an imported one is −1.
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"
_COLUMNS = {
    "dataset": sa.String(200),
    "sample_id": sa.Text,
    "content": sa.String(64),
    "label_name": sa.Text,
    "given_name": sa.Text,
    "suggested_name": sa.Text,
}


def upgrade() -> None:
    """Add what says which sample of which dataset is meant, and a count of changes by dataset."""
    for name, kind in _COLUMNS.items():
        op.add_column("decisions", sa.Column(name, kind))
    op.create_index("ix_decisions_dataset", "decisions", ["dataset"])
    op.create_table(
        "dataset_changes",
        sa.Column("dataset", sa.String(200), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Take both away."""
    op.drop_table("dataset_changes")
    op.drop_index("ix_decisions_dataset", "decisions")
    with op.batch_alter_table("decisions") as batch:
        for name in _COLUMNS:
            batch.drop_column(name)
