"""Stage one: embeddings of action sequences (and of image states), learned from random play."""
