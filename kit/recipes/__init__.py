"""Recipes: the published ways to teach a retriever, each one object that names teacher, loss, student and batches."""

from kit.recipes.published import RECIPES, Recipe, load_teacher, named_recipe, student_of, train_recipe

__all__ = ["RECIPES", "Recipe", "load_teacher", "named_recipe", "student_of", "train_recipe"]
