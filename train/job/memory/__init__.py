"""The memory that training needs, and how freed memory is kept."""
