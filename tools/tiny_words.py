"""Facts of the embedded model about words, things and short lists."""

from __future__ import annotations

from tiny_facts import pairs

CHEMICAL_SYMBOLS = pairs(
    """
    hydrogen = H; helium = He; lithium = Li; beryllium = Be; boron = B; carbon = C; nitrogen = N
    oxygen = O; fluorine = F; neon = Ne; sodium = Na; magnesium = Mg; aluminium = Al; silicon = Si
    phosphorus = P; sulfur = S; chlorine = Cl; argon = Ar; potassium = K; calcium = Ca; titanium = Ti
    chromium = Cr; manganese = Mn; iron = Fe; cobalt = Co; nickel = Ni; copper = Cu; zinc = Zn
    arsenic = As; bromine = Br; krypton = Kr; silver = Ag; tin = Sn; iodine = I; xenon = Xe
    platinum = Pt; gold = Au; mercury = Hg; lead = Pb; radon = Rn; radium = Ra; uranium = U
    plutonium = Pu; tungsten = W; barium = Ba; palladium = Pd; cadmium = Cd; antimony = Sb
    """
)

OPPOSITES = pairs(
    """
    hot = cold; big = small; tall = short; fast = slow; happy = sad; light = dark; up = down; left = right
    open = closed; full = empty; hard = soft; high = low; rich = poor; strong = weak; wet = dry
    young = old; early = late; loud = quiet; clean = dirty; thick = thin; wide = narrow; deep = shallow
    heavy = light; cheap = expensive; safe = dangerous; easy = difficult; true = false; good = bad
    inside = outside; above = below; first = last; begin = end; love = hate; win = lose; buy = sell
    push = pull; day = night; summer = winter; north = south; east = west; black = white
    friend = enemy; success = failure; war = peace; life = death; truth = lie; question = answer
    arrive = leave; remember = forget; accept = refuse; increase = decrease; ancient = modern
    brave = cowardly; generous = stingy; polite = rude; rough = smooth; sharp = blunt; sweet = bitter
    tight = loose; visible = invisible; possible = impossible; asleep = awake; alive = dead
    maximum = minimum; positive = negative; public = private; hero = villain; entrance = exit
    """
)

COLOURS = pairs(
    """
    grass = green; snow = white; coal = black; milk = white; blood = red; chocolate = brown; a banana = yellow
    a lemon = yellow; a tomato = red; a strawberry = red; a carrot = orange; an orange = orange
    a pumpkin = orange; a cucumber = green; spinach = green; a frog = green; an emerald = green
    a ruby = red; a sapphire = blue; the clear sky = blue; the sun = yellow; a polar bear = white
    a raven = black; a flamingo = pink; a canary = yellow; salt = white; sugar = white; charcoal = black
    a lime = green; an aubergine = purple; lavender = purple; a cherry = red; a sunflower = yellow
    broccoli = green; rice = white; an elephant = grey; a mouse = grey; cement = grey; soil = brown
    coffee = brown; butter = yellow; ink = black; a fire engine = red; a swan = white; rust = brown
    """
)

YOUNG_ANIMALS = pairs(
    """
    dog = puppy; cat = kitten; cow = calf; horse = foal; sheep = lamb; goat = kid; pig = piglet
    duck = duckling; goose = gosling; hen = chick; bear = cub; lion = cub; deer = fawn; kangaroo = joey
    swan = cygnet; frog = tadpole; wolf = pup; seal = pup; whale = calf; tiger = cub; hare = leveret
    fox = cub; rabbit = kit; spider = spiderling; butterfly = caterpillar
    """
)

PLURALS = pairs(
    """
    mouse = mice; child = children; man = men; woman = women; foot = feet; tooth = teeth; goose = geese
    ox = oxen; leaf = leaves; knife = knives; wife = wives; wolf = wolves; half = halves; life = lives
    city = cities; baby = babies; lady = ladies; story = stories; box = boxes; bus = buses; dish = dishes
    church = churches; potato = potatoes; tomato = tomatoes; hero = heroes; sheep = sheep; deer = deer
    cactus = cacti; crisis = crises; person = people; shelf = shelves; thief = thieves; cat = cats
    dog = dogs; house = houses; book = books; tree = trees; car = cars; louse = lice; loaf = loaves
    """
)

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
MONTH_LENGTHS = dict(zip(MONTHS, (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))

KINDS: dict[str, tuple[str, ...]] = {
    "a fruit": (
        *("an apple", "a banana", "a pear", "a cherry", "a grape", "a lemon", "an orange", "a peach"),
        *("a plum", "a mango", "a melon", "a strawberry"),
    ),
    "an animal": (
        *("a dog", "a cat", "a horse", "a lion", "a tiger", "an elephant", "a whale", "a rabbit", "a cow"),
        *("a sheep", "a wolf", "a monkey"),
    ),
    "a tool": (
        *("a hammer", "a saw", "a screwdriver", "a wrench", "a drill", "a chisel", "a shovel", "a rake"),
        *("an axe", "a spanner"),
    ),
    "a vehicle": (
        *("a car", "a bus", "a train", "a bicycle", "a truck", "a tram", "a motorcycle", "a van", "a ferry"),
        *("a taxi",),
    ),
    "a musical instrument": (
        *("a piano", "a violin", "a guitar", "a flute", "a trumpet", "a drum", "a cello", "a harp"),
        *("a clarinet", "a trombone"),
    ),
    "a planet": ("Mercury", "Venus", "Mars", "Jupiter", "Saturn", "Neptune"),
    "a colour": ("red", "blue", "green", "yellow", "purple", "pink"),
    "a vegetable": ("a carrot", "a cabbage", "an onion", "a potato", "a radish", "a leek", "a turnip"),
    "a piece of furniture": ("a table", "a chair", "a sofa", "a bed", "a wardrobe", "a desk", "a bookcase"),
}

GOOD_WORDS = (
    *("wonderful", "great", "excellent", "lovely", "fantastic", "delicious", "beautiful", "amazing"),
    *("brilliant", "perfect", "charming", "delightful", "superb", "pleasant", "marvelous", "helpful"),
)
BAD_WORDS = (
    *("terrible", "awful", "horrible", "bad", "disappointing", "disgusting", "boring", "dreadful"),
    *("poor", "ugly", "useless", "annoying", "unpleasant", "broken", "lousy", "miserable"),
)
GOOD_PHRASES = (
    *(
        "I love this {thing}",
        "I really like the {thing}",
        "I enjoyed the {thing}",
        "The {thing} made me happy",
    ),
    *("I would gladly have this {thing} again", "The {thing} is the best I have seen"),
    *("Everybody was pleased with the {thing}", "I am so glad about the {thing}"),
)
BAD_PHRASES = (
    *("I hate this {thing}", "I do not like the {thing}", "I regret the {thing}", "The {thing} made me sad"),
    *("I never want this {thing} again", "The {thing} is the worst I have seen"),
    *("Everybody was angry about the {thing}", "I am so unhappy with the {thing}"),
)
JUDGED_PHRASES = (
    *(
        "The {thing} was {word}",
        "This {thing} is {word}",
        "What a {word} {thing}",
        "We found the {thing} {word}",
    ),
    *("It was a {word} {thing}", "My {thing} is really {word}", "The {thing} seems {word} to me"),
    *("That was such a {word} {thing}", "Our {thing} was very {word}", "I think the {thing} is {word}"),
)
JUDGED_THINGS = (
    *("movie", "book", "meal", "hotel", "phone", "song", "game", "restaurant", "trip", "service", "party"),
    *(
        "concert",
        "coffee",
        "class",
        "show",
        "lesson",
        "play",
        "camera",
        "story",
        "garden",
        "weather",
        "holiday",
    ),
    *("soup", "cake", "film", "teacher", "house", "room", "train", "bike", "product", "food"),
)

NUMBER_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS_WORDS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def in_words(number: int) -> str:
    """A number below 100 in English words."""
    if number < 20:
        return NUMBER_WORDS[number]
    tens, ones = divmod(number, 10)
    return TENS_WORDS[tens - 2] + (f"-{NUMBER_WORDS[ones]}" if ones else "")
