"""`python -m entrypoints.documents`: writes MLproject and the README's tables from the code."""

from pathlib import Path

from lab.studies.documents import entry_table, fill, mlproject, parameter_tables

if __name__ == "__main__":
    root = Path(__file__).parents[1]
    readme = root / "README.md"
    (root / "MLproject").write_text(mlproject())
    readme.write_text(fill(readme.read_text(), {"entry points": entry_table(), "parameters": parameter_tables()}))
