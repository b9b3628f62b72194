"""The words of English puzzles."""

NAMES = (
    "Alice", "Brian", "Carla", "David", "Elena", "Frank", "Grace", "Henry", "Irene",
    "Jacob", "Karen", "Lucas", "Megan", "Nadia", "Oscar", "Petra", "Quinn", "Robin",
    "Sofia", "Tariq", "Ursula", "Victor", "Wendy", "Yusuf", "Marta", "Simon",
)  # fmt: skip

# Groups of people any of which may overlap: nothing but the premises says how.
GROUPS = (
    "doctors", "swimmers", "parents", "vegetarians", "gardeners", "musicians", "cyclists", "tourists", "students",
    "drivers", "painters", "nurses", "dancers", "chess players", "dog owners", "runners", "lawyers", "teachers",
    "photographers", "sailors", "bakers", "climbers", "voters", "tenants",
)  # fmt: skip

# The condition, what follows from it, and the negation of each.
CONDITIONS = (
    ("it rains", "the match is cancelled", "it does not rain", "the match is not cancelled"),
    ("the alarm rings", "the guard wakes up", "the alarm does not ring", "the guard does not wake up"),
    ("the shop is closed", "the lights are off", "the shop is not closed", "the lights are not off"),
    ("Anna takes the train", "she arrives early", "Anna does not take the train", "she does not arrive early"),
    ("the battery is empty", "the car does not start", "the battery is not empty", "the car starts"),
    ("the oven is hot", "the red lamp is on", "the oven is not hot", "the red lamp is not on"),
    ("Paul has a fever", "he stays at home", "Paul has no fever", "he does not stay at home"),
    ("the door is locked", "the window is shut", "the door is not locked", "the window is not shut"),
    ("the river is high", "the ferry stops", "the river is not high", "the ferry does not stop"),
    ("the invoice is paid", "the parcel is sent", "the invoice is not paid", "the parcel is not sent"),
    ("the dog barks", "the baby cries", "the dog does not bark", "the baby does not cry"),
    ("the server is down", "the page does not load", "the server is not down", "the page loads"),
    ("Lisa bakes bread", "the kitchen smells good", "Lisa does not bake bread", "the kitchen does not smell good"),
    ("the museum is free", "there is a queue", "the museum is not free", "there is no queue"),
    ("the bridge is icy", "the buses are late", "the bridge is not icy", "the buses are not late"),
    ("the moon is full", "the wolves howl", "the moon is not full", "the wolves do not howl"),
    ("the test fails", "the release is delayed", "the test does not fail", "the release is not delayed"),
    ("Omar wins the race", "his team celebrates", "Omar does not win the race", "his team does not celebrate"),
    ("the milk is sour", "the cake is spoiled", "the milk is not sour", "the cake is not spoiled"),
    ("the wind is strong", "the mill turns", "the wind is not strong", "the mill does not turn"),
    ("the ticket is valid", "the gate opens", "the ticket is not valid", "the gate does not open"),
    ("Clara is on holiday", "her desk is empty", "Clara is not on holiday", "her desk is not empty"),
    ("the pump is broken", "the cellar is wet", "the pump is not broken", "the cellar is not wet"),
    ("the choir sings", "the church is full", "the choir does not sing", "the church is not full"),
)  # fmt: skip

# Two things sold together.
PURCHASES = (
    ("bat", "ball"), ("racket", "shuttlecock"), ("laptop", "mouse"), ("kettle", "cup"), ("coat", "scarf"),
    ("violin", "bow"), ("camera", "strap"), ("desk", "lamp"), ("tent", "rope"), ("guitar", "pick"),
)  # fmt: skip

# Who makes what.
MAKERS = (
    ("machines", "widgets"), ("printers", "posters"), ("knitters", "scarves"), ("ovens", "cakes"), ("robots", "doors"),
    ("weavers", "baskets"), ("presses", "coins"),
)  # fmt: skip

# What grows, and what it covers or fills.
GROWERS = (
    ("a patch of lily pads", "a lake"), ("a layer of algae", "a pond"), ("a spot of mould", "a wall"),
    ("a colony of bacteria", "a dish"), ("a carpet of moss", "a roof"), ("a mat of duckweed", "a canal"),
)  # fmt: skip
UNITS = ("days", "hours", "minutes", "weeks")
