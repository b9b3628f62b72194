"""The words of the micro-world. The values of attributes are single tokens, with and without a space before."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COLOURS = _words(
    "red blue green black white pink grey brown gold silver orange purple yellow violet amber coral "
    "ivory jade lime navy olive plum ruby rust sand teal peach mint rose cream copper bronze"
)
ANIMALS = _words(
    "cat dog fox owl bear wolf deer hare mole frog toad crow hawk duck swan goose "
    "horse sheep goat pig mouse rat lion tiger seal whale shark crab eagle camel zebra panda"
)
CITIES = _words(
    "Paris Rome Oslo Cairo Lima Delhi Tokyo Berlin Madrid London Dublin Athens Vienna Prague Warsaw Lisbon "
    "Moscow Kiev Riga Quito Havana Seoul Hanoi Perth Sydney Boston Dallas Denver Geneva Milan Naples Zurich"
)
JOBS = _words(
    "baker farmer miller tailor sailor doctor nurse teacher lawyer judge painter singer dancer writer poet actor "
    "pilot driver hunter fisher mason smith potter weaver cook guard clerk banker monk vet king scout"
)
FOODS = _words(
    "rice bread soup cake pie fish beans eggs corn cheese honey apples grapes pears dates nuts "
    "pasta salad stew toast jam ham figs plums melon onions garlic butter olives bacon tofu curry"
)
TOOLS = _words(
    "harp drum flute piano violin guitar lute horn bell whistle hammer axe saw rope ladder lamp "
    "knife spoon needle brush kite clock mirror candle basket bucket wheel anchor shovel broom pen book"
)
FIRST_NAMES = _words(
    "Ann Bob Cid Dan Eve Fay Gus Hal Ida Jan Ken Leo Max Ned Pam Ray Sam Tom Una Val "
    "Amy Ben Carl Dora Emma Fred Gina Hugo Iris Jack Kate Liam Mia Noah Olga Paul Rosa Sara Ted Zoe"
)
NOUNS = _words(
    "artists birds cats chefs clowns dogs dwarfs elves farmers giants hunters kings knights miners monks nuns "
    "pilots pirates poets priests rabbits robots runners sailors singers snakes spies thieves tigers traders "
    "witches wizards"
)
PLACES = _words(
    "forest river market garden castle harbor island valley village mountain beach cave tower bridge desert lake "
    "meadow temple library station school church farm field park port inn mill shop well hill bay"
)
OBJECTS = _words(
    "coin ring key map box stone shell feather letter hat coat boot glove scarf cup plate "
    "bottle sword shield crown flag ball doll drum pearl button ticket purse rope stick seed jar"
)
FEELINGS = _words("happy sad proud angry calm afraid tired curious")
SIZES = _words("small large tiny new bright dusty heavy strange")
COMMON_WORDS = _words(
    "the is are not all no some than taller shorter older younger faster slower richer poorer who what where which how "
    "home job pet food tool colour emblem city lives works keeps eats owns likes has from to in on and of by for it "
    "went came found saw gave ate day morning evening together larger plus minus times sum print return range yes true"
)
VARIABLES = _words("a b c d k m n p q t x y z")

ANSWER_WORDS = COLOURS + ANIMALS + CITIES + JOBS + FOODS + TOOLS


def with_article(words: str) -> str:
    """The words after the indefinite article that their first letter asks for."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"
