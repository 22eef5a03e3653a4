"""Recipes: the published ways to teach a retriever, each one object that names teacher, loss, student and batches."""

from kit.recipes.published import (
    RECIPE_LOSSES,
    RECIPES,
    Recipe,
    named_recipe,
    student_of,
    train_recipe,
)

__all__ = ["RECIPES", "RECIPE_LOSSES", "Recipe", "named_recipe", "student_of", "train_recipe"]
