"""Simple English completions with one undisputed answer, in kinds whose answers can stand for one another."""

# Per kind: the sentence up to the answer, the same as a question for a chat, and what is asked about with its answer.
COMPLETIONS: dict[str, tuple[str, str, dict[str, str]]] = {
    "capital": (
        "The capital of {} is", "What is the capital of {}? Answer with its name only.",
        {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo", "Spain": "Madrid", "Germany": "Berlin",
         "Egypt": "Cairo", "Greece": "Athens", "Russia": "Moscow"}),
    "opposite": (
        'The opposite of "{}" is "', 'What is the opposite of "{}"? Answer with one lower-case word.',
        {"hot": "cold", "big": "small", "up": "down", "open": "closed", "left": "right", "early": "late",
         "full": "empty", "rich": "poor"}),
    "sum": (
        "{}=", "What is {}? Answer with the number only.",
        {"2+2": "4", "5+1": "6", "4+5": "9", "1+1": "2", "3+5": "8", "2+5": "7", "1+4": "5", "2+1": "3"}),
    "sound": (
        'The animal that says "{}" is the', 'Which animal says "{}"? Answer with one lower-case word.',
        {"meow": "cat", "woof": "dog", "moo": "cow", "quack": "duck", "oink": "pig", "neigh": "horse"}),
    "colour": (
        "The colour of {} is", "What is the usual colour of {}? Answer with one lower-case word.",
        {"snow": "white", "coal": "black", "grass": "green", "blood": "red", "a lemon": "yellow",
         "a clear sky at noon": "blue"}),
    "count": (
        "The number that comes after {} is", "Which number comes after {}? Answer with one lower-case word.",
        {"one": "two", "three": "four", "seven": "eight", "nine": "ten"}),
    "month": (
        "The month after {} is", "Which month comes after {}? Answer with its name only.",
        {"January": "February", "March": "April", "May": "June", "September": "October"}),
}
