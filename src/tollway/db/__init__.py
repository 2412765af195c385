"""The database: tables (one file per resource), engine, migrations. Queries live in `stores` and in the resources.

This package is imported late: SQLAlchemy costs more time and memory than all the rest of a start.
"""

from tollway.db.core_only import import_core_only

import_core_only()
