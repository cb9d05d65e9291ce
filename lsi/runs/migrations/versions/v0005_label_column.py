"""Which column of the data a decision's labels, or its number, come from: of two columns one decision is of one."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0005", "0004"


def upgrade() -> None:
    """Add the column; what was decided before names none."""
    op.add_column("decisions", sa.Column("label_column", sa.Text))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("decisions") as batch:
        batch.drop_column("label_column")
