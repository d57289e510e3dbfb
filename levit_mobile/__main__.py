"""``python -m levit_mobile`` is ``levit``."""

from levit_mobile.cli.main import main

main()
