"""Decisions about the samples of a run, by their positions: what versions before the first migration made.

Databases of that time carry no revision, so that this step makes what is missing and leaves what is there.
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    """Make the tables, or the column that the oldest ones lack."""
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table("decisions"):
        op.create_table(
            "decisions",
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column("batch", sa.BigInteger, nullable=False, index=True),
            sa.Column("time", sa.DateTime(timezone=True), nullable=False),
            sa.Column("reviewer", sa.String(100), nullable=False, index=True),
            sa.Column("run", sa.String(200), nullable=False, index=True),
            sa.Column("sample", sa.Integer, nullable=False),
            sa.Column("action", sa.String(20), nullable=False),
            sa.Column("label", sa.Integer),
            sa.Column("given", sa.Integer),
            sa.Column("suggested", sa.Integer),
            sa.Column("score", sa.Float),
            sa.Column("undone", sa.Boolean, nullable=False),
            sa.Column("discarded", sa.Boolean, nullable=False, server_default=sa.false()),
        )
    elif "discarded" not in {column["name"] for column in inspector.get_columns("decisions")}:
        op.add_column("decisions", sa.Column("discarded", sa.Boolean, nullable=False, server_default=sa.false()))
    if not inspector.has_table("decision_changes"):
        op.create_table(
            "decision_changes",
            sa.Column("run", sa.String(200), primary_key=True),
            sa.Column("count", sa.BigInteger, nullable=False),
        )


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("decision_changes")
    op.drop_table("decisions")
