"""Four candidate first steps for each question of GSM8K, the same for the same file of questions."""
import random
import re

SEED = 42


def first_step(answer):
    """The first line of a worked solution, without the calculator's marks."""
    return re.sub(r"<<.*?>>", "", answer).strip().split("\n")[0].strip()


def process_docs(docs):
    """Adds `choices`, four first steps, and `right`, the index of the question's own."""
    steps = [first_step(answer) for answer in docs["answer"]]

    def with_choices(doc, index):
        draw = random.Random(f"{SEED} {index}")
        chosen = draw.sample([i for i in range(len(steps)) if steps[i] != steps[index]], 3)
        right = draw.randrange(4)
        chosen.insert(right, index)
        return {**doc, "choices": [steps[i] for i in chosen], "right": right}

    return docs.map(with_choices, with_indices=True)
