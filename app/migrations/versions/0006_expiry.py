"""tokens that expire

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("tokens", sa.Column("expires", sa.DateTime(timezone=True), nullable=True))


def downgrade():
    op.drop_column("tokens", "expires")
