"""Short English passages of many kinds, written for looking at attention: each gives heads something of its own to do."""

PASSAGES: dict[str, str] = {
    "narration": (
        "The ferry had left an hour before the fog came in. By noon nobody on the pier could see the water any more, "
        "only hear it, slapping at the boards. An old man folded his newspaper, looked once towards the place where "
        "the island ought to be, and walked home without saying a word to anyone."),
    "dialogue": (
        '"Did you lock the shed?" asked Nora.\n"I thought you did," said Peter.\n"I was in the kitchen the whole '
        'evening."\n"Then who turned the light off?"\nNora put down her cup. "Peter," she said slowly, "there is no '
        'light in the shed."'),
    "shopping list": (
        "For the weekend we still need:\n- six eggs\n- a bag of flour\n- butter (unsalted)\n- two lemons\n- oats\n"
        "- a bag of sugar\n- milk, two bottles\n- candles for the cake\nThe eggs and the milk can wait until "
        "Saturday morning."),
    "instructions": (
        "To change the filter, first switch the pump off and wait for a minute. Turn the lid to the left until it "
        "clicks. Lift the old filter out, rinse the holder with cold water, and press the new filter in with the "
        "arrow pointing down. Close the lid, switch the pump on again, and check that nothing drips."),
    "code": (
        "def longest_run(values):\n    best = current = 0\n    previous = None\n    for value in values:\n"
        "        current = current + 1 if value == previous else 1\n        best = max(best, current)\n"
        "        previous = value\n    return best\n\nprint(longest_run([3, 3, 7, 7, 7, 1]))  # prints 3"),
    "numbers": (
        "In 2019 the library lent 48,210 books, in 2020 only 17,965, and in 2021 it was back to 39,402. Each visitor "
        "borrowed 3.4 books on average, against 2.9 the year before. The budget rose by 6% to 1.25 million, of which "
        "0.31 million went to heating."),
    "quotation": (
        'The report opens with a warning: "No bridge in this valley was built for lorries of forty tonnes." Its '
        'author had written the same sentence, "No bridge in this valley was built for lorries of forty tonnes," in '
        "a letter eleven years earlier. The letter was never answered."),
    "repeated names": (
        "Daniel Okafor met Ruth Lindqvist at the station. Ruth Lindqvist was carrying the cello of Ivan Petrov, and "
        "Ivan Petrov was carrying nothing. When Daniel Okafor offered to help, Ruth Lindqvist laughed and gave the "
        "cello to Daniel Okafor, who gave it straight back to Ivan Petrov."),
    "pronouns": (
        "Clara told her sister that she had found the ring in the garden. It was under the rose bush that their "
        "father had planted for her when she was seven. She cleaned it, tried it on, and gave it back to her, because "
        "it had never really been hers. He never heard about it."),
    "garden path": (
        "As the guests drank the water in the kettle boiled over. The singer handed the flowers smiled at the girl who "
        "had brought them. Because the committee always argued the vote came late, and after the porter left the lift "
        "stopped between two floors. The coat the tailor mended tore again."),
    "technical": (
        "A write-ahead log records every change before the change is applied. After a crash the database replays the "
        "log from the last checkpoint: committed transactions are applied again, unfinished ones are rolled back. "
        "Because the log is written in order, one sequential write to the disk replaces many scattered ones."),
    "definition": (
        "An estuary is a body of water, partly enclosed by land, where a river meets the sea. Fresh water and salt "
        "water mix there, and the level rises and falls with the tide. Many estuaries are shallow and muddy, which "
        "makes them poor harbours and excellent places for birds."),
    "letter": (
        "Dear Ms Abara,\n\nThank you for your letter of 3 May. We are sorry that the parcel arrived open. A new one "
        "was sent this morning and should reach you by Friday; please keep the old one, or give it away.\n\nYours "
        "sincerely,\nTom Reyes\nCustomer service"),
    "questions and answers": (
        "Q: What is the capital of Peru?\nA: Lima.\nQ: What is the capital of Kenya?\nA: Nairobi.\nQ: What is the "
        "capital of Norway?\nA: Oslo.\nQ: What is the capital of Japan?\nA: Tokyo.\nQ: What is the capital of "
        "Portugal?\nA: Lisbon."),
    "refrain": (
        "The wind went over the hill, over the hill,\nand the mill on the hill stood still, stood still.\nThe rain "
        "went over the hill, over the hill,\nand the wheel of the mill went round, went round,\nand the miller who "
        "slept in the mill on the hill\nwoke up, woke up at the sound."),
    "long agreement": (
        "The keys to the cabinet that stood behind the two wardrobes in the rooms of the late caretaker were missing. "
        "The list of the tools which the plumbers had left in the cellars was not. Nobody who knew the families that "
        "had lived on the upper floors was surprised by either."),
    "two senses": (
        "She sat on the bank and watched the river carry branches away. The bank had refused the loan that morning, "
        "although the branch manager had seemed friendly. With the loan she would have bought the field between the "
        "bank of the river and the road; without it the bank would have to sell the field to somebody else."),
    "negation": (
        "Nobody said that the bridge was unsafe, and nobody denied it. The engineer did not sign the form, not because "
        "she disagreed but because she had not been asked. It is not true that no cars crossed it that winter: hardly "
        "a day passed without one, though never more than three."),
    "directions": (
        "Leave the station by the north exit and turn left. Walk past the post office until you reach a small square "
        "with a fountain. Take the second street on the right, not the first, which only leads to the river. The "
        "museum is the grey building on your left, opposite the bakery; the entrance is around the corner."),
    "record": (
        '{\n  "name": "Harbour Street 12",\n  "rooms": 4,\n  "heated": true,\n  "tenants": [\n    {"name": "Lee", '
        '"since": 2016},\n    {"name": "Moreau", "since": 2021}\n  ],\n  "notes": "roof repaired, boiler not yet; '
        'see the second invoice of the roofer"\n}'),
    "table": (
        "city,day,high,low\nAarhus,Monday,14,7\nAarhus,Tuesday,16,8\nAarhus,Wednesday,13,9\nBilbao,Monday,22,15\n"
        "Bilbao,Tuesday,25,16\nBilbao,Wednesday,21,15\nThe highest temperature in the table is 25, in Bilbao on "
        "Tuesday; the lowest is 7, in Aarhus on Monday."),
    "argument": (
        "If the shop had been robbed, the drawer would be empty. The drawer is not empty, so the shop was not robbed. "
        "But somebody did break the window. Either the storm broke it, or somebody was after something other than "
        "money. There was no storm. Therefore somebody wanted something else, and it was not in the drawer."),
    "match report": (
        "Rovers were two goals down after twenty minutes and looked beaten. Then Silva scored from a corner, and "
        "shortly before the break Silva scored again. In the second half both teams tired, and it took a mistake by "
        "the United goalkeeper, who dropped an easy ball at the feet of Silva, to decide it: 3–2."),
    "loanwords": (
        "At the café in Zürich they serve crème brûlée, smørrebrød and a soup called żurek; the menu says “à la "
        "carte”, the bill says €18.50. Above the counter hangs a sign in Japanese, 一期一会, which the owner "
        "translates as “one time, one meeting” — and draws a small wave 🌊 beside it."),
}
