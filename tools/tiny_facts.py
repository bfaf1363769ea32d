"""Facts of the embedded model about places, people and works: `left = right`."""

from __future__ import annotations

Pair = tuple[str, str]


def pairs(table: str) -> tuple[Pair, ...]:
    """The `left = right` entries of a table, separated by line feeds or semicolons."""
    entries = (entry.split("=") for entry in table.replace("\n", ";").split(";") if entry.strip())
    return tuple((left.strip(), right.strip()) for left, right in entries)


CAPITALS = pairs(
    """
    France = Paris; Germany = Berlin; Italy = Rome; Spain = Madrid; Portugal = Lisbon; Greece = Athens
    Austria = Vienna; Poland = Warsaw; Hungary = Budapest; Sweden = Stockholm; Norway = Oslo
    Denmark = Copenhagen; Finland = Helsinki; Ireland = Dublin; the United Kingdom = London
    the Netherlands = Amsterdam; Belgium = Brussels; Iceland = Reykjavik; Ukraine = Kyiv; Russia = Moscow
    Romania = Bucharest; Bulgaria = Sofia; Serbia = Belgrade; Croatia = Zagreb; Slovenia = Ljubljana
    Slovakia = Bratislava; the Czech Republic = Prague; Estonia = Tallinn; Latvia = Riga
    Lithuania = Vilnius; Belarus = Minsk; Albania = Tirana; Malta = Valletta; Cyprus = Nicosia
    Turkey = Ankara; Georgia = Tbilisi; Armenia = Yerevan; Azerbaijan = Baku; Iran = Tehran
    Iraq = Baghdad; Syria = Damascus; Lebanon = Beirut; Jordan = Amman; Saudi Arabia = Riyadh
    Oman = Muscat; Qatar = Doha; Yemen = Sanaa; Egypt = Cairo; Libya = Tripoli; Tunisia = Tunis
    Algeria = Algiers; Morocco = Rabat; Sudan = Khartoum; Ethiopia = Addis Ababa; Kenya = Nairobi
    Uganda = Kampala; Rwanda = Kigali; Somalia = Mogadishu; Ghana = Accra; Senegal = Dakar
    Mali = Bamako; Nigeria = Abuja; Angola = Luanda; Zambia = Lusaka; Zimbabwe = Harare
    Mozambique = Maputo; Namibia = Windhoek; Botswana = Gaborone; Madagascar = Antananarivo
    India = New Delhi; Pakistan = Islamabad; Bangladesh = Dhaka; Nepal = Kathmandu; Bhutan = Thimphu
    Afghanistan = Kabul; Uzbekistan = Tashkent; Mongolia = Ulaanbaatar; China = Beijing; Japan = Tokyo
    South Korea = Seoul; North Korea = Pyongyang; Vietnam = Hanoi; Laos = Vientiane; Thailand = Bangkok
    Cambodia = Phnom Penh; the Philippines = Manila; Australia = Canberra; New Zealand = Wellington
    Fiji = Suva; Canada = Ottawa; the United States = Washington; Mexico = Mexico City; Cuba = Havana
    Jamaica = Kingston; Haiti = Port-au-Prince; Panama = Panama City; Costa Rica = San Jose
    Nicaragua = Managua; Honduras = Tegucigalpa; Guatemala = Guatemala City; El Salvador = San Salvador
    Colombia = Bogota; Venezuela = Caracas; Ecuador = Quito; Peru = Lima; Brazil = Brasilia
    Paraguay = Asuncion; Uruguay = Montevideo; Argentina = Buenos Aires; Chile = Santiago
    England = London; Scotland = Edinburgh; Wales = Cardiff; the UK = London; the USA = Washington
    """
)

AUTHORS = pairs(
    """
    Pride and Prejudice = Jane Austen; Hamlet = William Shakespeare; Macbeth = William Shakespeare
    Romeo and Juliet = William Shakespeare; Oliver Twist = Charles Dickens
    Great Expectations = Charles Dickens; A Christmas Carol = Charles Dickens; War and Peace = Leo Tolstoy
    Anna Karenina = Leo Tolstoy; Crime and Punishment = Fyodor Dostoevsky; Don Quixote = Miguel de Cervantes
    Moby Dick = Herman Melville; Frankenstein = Mary Shelley; Dracula = Bram Stoker
    Jane Eyre = Charlotte Bronte; Wuthering Heights = Emily Bronte; Treasure Island = Robert Louis Stevenson
    Alice in Wonderland = Lewis Carroll; Peter Pan = James Barrie; The Hobbit = John Tolkien
    The Lord of the Rings = John Tolkien; The Odyssey = Homer; The Iliad = Homer
    The Divine Comedy = Dante Alighieri; Faust = Johann Goethe; Les Miserables = Victor Hugo
    The Three Musketeers = Alexandre Dumas; The Time Machine = Herbert Wells
    The War of the Worlds = Herbert Wells; Robinson Crusoe = Daniel Defoe
    Gulliver's Travels = Jonathan Swift; Tom Sawyer = Mark Twain; Huckleberry Finn = Mark Twain
    The Jungle Book = Rudyard Kipling; Nineteen Eighty-Four = George Orwell; Animal Farm = George Orwell
    Brave New World = Aldous Huxley; The Great Gatsby = Scott Fitzgerald; Ulysses = James Joyce
    The Metamorphosis = Franz Kafka; The Trial = Franz Kafka; Little Women = Louisa Alcott
    To Kill a Mockingbird = Harper Lee; The Call of the Wild = Jack London; Walden = Henry Thoreau
    The Little Prince = Antoine de Saint-Exupery; Lolita = Vladimir Nabokov; The Stranger = Albert Camus
    The Canterbury Tales = Geoffrey Chaucer; Paradise Lost = John Milton; Emma = Jane Austen
    The Old Man and the Sea = Ernest Hemingway; The Grapes of Wrath = John Steinbeck
    Candide = Voltaire; The Raven = Edgar Allan Poe; Middlemarch = George Eliot
    """
)

PAINTERS = pairs(
    """
    the Mona Lisa = Leonardo da Vinci; The Last Supper = Leonardo da Vinci
    The Starry Night = Vincent van Gogh
    The Scream = Edvard Munch; Guernica = Pablo Picasso; The Night Watch = Rembrandt
    Girl with a Pearl Earring = Johannes Vermeer; The Birth of Venus = Sandro Botticelli
    The Kiss = Gustav Klimt; The Persistence of Memory = Salvador Dali; Las Meninas = Diego Velazquez
    The School of Athens = Raphael; The Garden of Earthly Delights = Hieronymus Bosch
    The Creation of Adam = Michelangelo; American Gothic = Grant Wood; Nighthawks = Edward Hopper
    Impression, Sunrise = Claude Monet; Liberty Leading the People = Eugene Delacroix
    The Arnolfini Portrait = Jan van Eyck; The Hay Wain = John Constable
    The Great Wave off Kanagawa = Hokusai; The Swing = Jean Fragonard; The Gleaners = Jean Millet
    The Son of Man = Rene Magritte
    """
)

COMPOSERS = pairs(
    """
    The Four Seasons = Antonio Vivaldi; The Magic Flute = Wolfgang Mozart; Swan Lake = Pyotr Tchaikovsky
    The Nutcracker = Pyotr Tchaikovsky; Carmen = Georges Bizet; Aida = Giuseppe Verdi
    The Brandenburg Concertos = Johann Bach; The Moonlight Sonata = Ludwig van Beethoven
    Messiah = George Handel; The Planets = Gustav Holst; Bolero = Maurice Ravel
    The Rite of Spring = Igor Stravinsky; Rhapsody in Blue = George Gershwin; Tosca = Giacomo Puccini
    The Barber of Seville = Gioachino Rossini; Peer Gynt = Edvard Grieg; The Creation = Joseph Haydn
    The Blue Danube = Johann Strauss; The Ring of the Nibelung = Richard Wagner; Finlandia = Jean Sibelius
    """
)

INVENTORS = pairs(
    """
    the telephone = Alexander Graham Bell; the phonograph = Thomas Edison; dynamite = Alfred Nobel
    the printing press = Johannes Gutenberg; the World Wide Web = Tim Berners-Lee
    the lightning rod = Benjamin Franklin; the diesel engine = Rudolf Diesel; the saxophone = Adolphe Sax
    the cotton gin = Eli Whitney; the safety razor = King Gillette;
    the hot air balloon = the Montgolfier brothers
    the mercury thermometer = Daniel Fahrenheit; the electric battery = Alessandro Volta
    the raised alphabet for the blind = Louis Braille; the revolver = Samuel Colt
    the ballpoint pen = Laszlo Biro; the miners' safety lamp = Humphry Davy; Linux = Linus Torvalds
    the pendulum clock = Christiaan Huygens; the geodesic dome = Buckminster Fuller
    the analytical engine = Charles Babbage; the jet engine = Frank Whittle; Python = Guido van Rossum
    the mechanical reaper = Cyrus McCormick; the sewing machine = Elias Howe
    """
)

SCIENTISTS = pairs(
    """
    penicillin = Alexander Fleming; radium = Marie Curie; X-rays = Wilhelm Roentgen
    the electron = Joseph Thomson; the neutron = James Chadwick; the law of gravity = Isaac Newton
    the theory of relativity = Albert Einstein; the moons of Jupiter = Galileo Galilei
    the planet Uranus = William Herschel; the laws of heredity = Gregor Mendel
    oxygen = Joseph Priestley; hydrogen = Henry Cavendish; the smallpox vaccine = Edward Jenner
    the rabies vaccine = Louis Pasteur; the polio vaccine = Jonas Salk; radioactivity = Henri Becquerel
    the circulation of blood = William Harvey; natural selection = Charles Darwin
    the periodic table = Dmitri Mendeleev; the laws of planetary motion = Johannes Kepler
    the quantum of energy = Max Planck; the uncertainty principle = Werner Heisenberg
    the atomic nucleus = Ernest Rutherford; electromagnetic induction = Michael Faraday
    radio waves = Heinrich Hertz; the expansion of the universe = Edwin Hubble
    the dwarf planet Pluto = Clyde Tombaugh; bacteria = Antonie van Leeuwenhoek
    the principle of buoyancy = Archimedes; continental drift = Alfred Wegener
    """
)

CONTINENTS = pairs(
    """
    France = Europe; Germany = Europe; Italy = Europe; Spain = Europe; Portugal = Europe; Greece = Europe
    Austria = Europe; Poland = Europe; Hungary = Europe; Sweden = Europe; Norway = Europe; Denmark = Europe
    Finland = Europe; Ireland = Europe; Belgium = Europe; Iceland = Europe; Ukraine = Europe
    Romania = Europe; Bulgaria = Europe; Serbia = Europe; Croatia = Europe; Estonia = Europe
    Latvia = Europe; Lithuania = Europe; Albania = Europe; Iran = Asia; Iraq = Asia; Syria = Asia
    Lebanon = Asia; Jordan = Asia; Saudi Arabia = Asia; Oman = Asia; Yemen = Asia; India = Asia
    Pakistan = Asia; Bangladesh = Asia; Nepal = Asia; Bhutan = Asia; Afghanistan = Asia; Mongolia = Asia
    China = Asia; Japan = Asia; South Korea = Asia; Vietnam = Asia; Laos = Asia; Thailand = Asia
    Cambodia = Asia; Libya = Africa; Tunisia = Africa; Algeria = Africa; Morocco = Africa; Sudan = Africa
    Ethiopia = Africa; Kenya = Africa; Uganda = Africa; Rwanda = Africa; Somalia = Africa; Ghana = Africa
    Senegal = Africa; Mali = Africa; Nigeria = Africa; Angola = Africa; Zambia = Africa; Zimbabwe = Africa
    Namibia = Africa; Botswana = Africa; Canada = North America; Mexico = North America
    Cuba = North America; Colombia = South America; Venezuela = South America; Ecuador = South America
    Peru = South America; Brazil = South America; Paraguay = South America; Uruguay = South America
    Argentina = South America; Chile = South America; Bolivia = South America
    """
)

LANGUAGES = pairs(
    """
    France = French; Germany = German; Italy = Italian; Spain = Spanish; Portugal = Portuguese
    Greece = Greek; Austria = German; Poland = Polish; Hungary = Hungarian; Sweden = Swedish
    Norway = Norwegian; Denmark = Danish; Finland = Finnish; Iceland = Icelandic; Ukraine = Ukrainian
    Russia = Russian; Romania = Romanian; Bulgaria = Bulgarian; Serbia = Serbian; Croatia = Croatian
    Slovenia = Slovenian; Slovakia = Slovak; the Czech Republic = Czech; Estonia = Estonian
    Latvia = Latvian; Lithuania = Lithuanian; Albania = Albanian; Turkey = Turkish; Georgia = Georgian
    Armenia = Armenian; Iran = Persian; Egypt = Arabic; Iraq = Arabic; Saudi Arabia = Arabic
    Syria = Arabic; Jordan = Arabic; Morocco = Arabic; Brazil = Portuguese; Angola = Portuguese
    Mexico = Spanish; Argentina = Spanish; Chile = Spanish; Colombia = Spanish; Cuba = Spanish
    Japan = Japanese; China = Chinese; South Korea = Korean; Vietnam = Vietnamese; Thailand = Thai
    Cambodia = Khmer; Laos = Lao; Mongolia = Mongolian; Nepal = Nepali; Bangladesh = Bengali
    the Netherlands = Dutch; the United Kingdom = English; Australia = English
    """
)

CURRENCIES = pairs(
    """
    Japan = yen; China = yuan; India = rupee; Russia = ruble; the United Kingdom = pound
    the United States = dollar; Canada = dollar; Australia = dollar; Mexico = peso; Argentina = peso
    Brazil = real; Poland = zloty; Hungary = forint; the Czech Republic = koruna; Sweden = krona
    Norway = krone; Denmark = krone; Turkey = lira; Thailand = baht; Vietnam = dong; South Korea = won
    Israel = shekel; Saudi Arabia = riyal; Nigeria = naira; Kenya = shilling; Ghana = cedi
    Ukraine = hryvnia; Romania = leu; Bangladesh = taka; Mongolia = tugrik; France = euro
    Germany = euro; Italy = euro; Spain = euro; Ireland = euro; Finland = euro
    """
)
