"""What documents can tell, and how: kinds of subjects, their facts, sentences and questions.

Data only. In a statement, {S} is the subject as the subject of the sentence (a pronoun may stand for
it), {s} the subject by name, {P} its possessive ("the lease's", "its", "her"), and {other} a fact.
A question names the subject with {s}; the answer is the fact as the document spells it.
"""


class Kind:
    """One kind of subject. facts: name -> (type of value, statements, questions)."""

    def __init__(self, name, nouns, facts, joint):
        self.name = name
        self.nouns = nouns  # None: the subject is a person or an organisation with a name
        self.facts = facts
        self.joint = joint  # statements that tell several facts at once


def lines(text):
    return [line.strip() for line in text.strip().split("\n")]


PAPER = Kind("paper", lines("""
    contract | contract | contract | lease | agreement | loan agreement | will | licence | deed | treaty | permit
    supply contract | rental agreement | building contract | insurance policy | purchase agreement
    employment contract | peace treaty | service contract | partnership agreement | sales contract
    transport contract | marriage contract | maintenance contract | publishing contract
    mortgage | settlement | trade agreement | cleaning contract | charter | memorandum"""), {
    "signer": ("person", lines("""
        {S} was signed by {signer}.
        {signer} signed {s}.
        {signer} put a signature under {s}.
        The signature on {s} is that of {signer}.
        It was {signer} who signed {s}.
        After reading every page, {signer} signed {s}.
        {s} bears the signature of {signer}.
        {S} carries the signature of {signer}.
        In the end {signer} agreed to sign {s}, and did so.
        The person who signed {s} was {signer}."""), lines("""
        Who signed {s}?
        Who signed {s}?
        By whom was {s} signed?
        Whose signature is on {s}?
        Who put a signature under {s}?
        {s} was signed by whom?
        What is the name of the person who signed {s}?
        Which person signed {s}?""")),
    "witness": ("person", lines("""
        {S} was witnessed by {witness}.
        {witness} was the witness to {s}.
        As a witness to {s}, {witness} was present.
        {witness} acted as witness for {s}."""), lines("""
        Who witnessed {s}?
        Who was the witness to {s}?
        By whom was {s} witnessed?
        Who acted as witness for {s}?""")),
    "drafter": ("person", lines("""
        {S} was drafted by {drafter}.
        {drafter} drafted {s}.
        {drafter} wrote the text of {s}.
        {S} was drawn up by the lawyer {drafter}.
        The lawyer {drafter} drew up {s}."""), lines("""
        Who drafted {s}?
        Who drew up {s}?
        Who wrote the text of {s}?
        By whom was {s} drafted?
        Which lawyer drew up {s}?""")),
    "signed_on": ("date", lines("""
        {S} was signed on {signed_on}.
        The signing of {s} took place on {signed_on}.
        {S} bears the date {signed_on}.
        On {signed_on}, {s} was signed.
        {s} was signed on {signed_on}, a little later than planned.
        The date of {s} is {signed_on}."""), lines("""
        When was {s} signed?
        When was {s} signed?
        On what date was {s} signed?
        What is the date of {s}?
        On which day was {s} signed?
        When did the signing of {s} take place?""")),
    "signed_at": ("place", lines("""
        {S} was signed in {signed_at}.
        The signing of {s} took place in {signed_at}.
        {s} was signed at an office in {signed_at}.
        In {signed_at}, {s} was signed.
        Both sides met in {signed_at} to sign {s}."""), lines("""
        Where was {s} signed?
        Where was {s} signed?
        In which town was {s} signed?
        In what place was {s} signed?
        Where did the signing of {s} take place?""")),
    "ends": ("date", lines("""
        {S} ends on {ends}.
        {S} expires on {ends}.
        {S} runs until {ends}.
        {S} remains in force until {ends}.
        The last day of {s} is {ends}."""), lines("""
        When does {s} end?
        When does {s} expire?
        Until when does {s} run?
        On what date does {s} end?
        Until when does {s} remain in force?""")),
    "worth": ("amount", lines("""
        {S} is worth {worth}.
        The value of {s} is {worth}.
        {S} covers a sum of {worth}.
        {worth} is the sum named in {s}.
        The sum named in {s} is {worth}.
        Under {s}, {worth} must be paid."""), lines("""
        How much is {s} worth?
        What is the value of {s}?
        How much money must be paid under {s}?
        What sum is named in {s}?
        What sum does {s} cover?""")),
    "term": ("term", lines("""
        {S} is valid for {term}.
        {S} lasts {term}.
        The term of {s} is {term}.
        Both sides are bound by {s} for {term}.
        {S} has a term of {term}."""), lines("""
        How long is {s} valid?
        How long does {s} last?
        What is the term of {s}?
        For how long are both sides bound by {s}?""")),
    "party": ("org", lines("""
        {S} was made with {party}.
        The other party to {s} is {party}.
        {party} is the other party to {s}.
        {S} binds {party} as well.
        {S} was concluded with {party}."""), lines("""
        With whom was {s} made?
        Who is the other party to {s}?
        Which company is the other party to {s}?
        With which company was {s} concluded?""")),
    "covers": ("goods", lines("""
        {S} covers the delivery of {covers}.
        Under {s}, {covers} will be supplied.
        {S} is about the supply of {covers}.
        What is to be delivered under {s} is {covers}."""), lines("""
        What does {s} cover?
        What is {s} about?
        What will be supplied under {s}?
        What is to be delivered under {s}?""")),
    "kept": ("spot", lines("""
        {S} is kept in {kept}.
        The original of {s} lies in {kept}.
        A copy of {s} is stored in {kept}.
        You can find {s} in {kept}."""), lines("""
        Where is {s} kept?
        Where is {s} stored?
        Where can {s} be found?
        Where does the original of {s} lie?""")),
}, lines("""
    {S} was signed by {signer} on {signed_on}.
    {signer} signed {s} on {signed_on}.
    On {signed_on}, {signer} signed {s} in {signed_at}.
    {S} was signed on {signed_on} in {signed_at}.
    {signer} signed {s} in {signed_at}.
    {signer} signed {s}, and {witness} was the witness.
    {s}, drafted by {drafter}, was signed by {signer}.
    {S} was drafted by {drafter} and signed by {signer}.
    {s}, worth {worth}, was signed by {signer}.
    {S} is worth {worth} and lasts {term}.
    {S} was made with {party} and is worth {worth}.
    {S} was signed by {signer} in {signed_at} and ends on {ends}.
    {S} was signed on {signed_on} and runs until {ends}.
    {S} was made with {party} and covers the delivery of {covers}."""))

PERSON = Kind("person", None, {
    "home": ("place", lines("""
        {S} lives in {home}.
        {S} has a flat in {home}.
        {P} home is in {home}.
        {S} has lived in {home} for many years.
        {S} moved to {home} and still lives there.
        The town where {s} lives is {home}."""), lines("""
        Where does {s} live?
        Where does {s} live?
        In which town does {s} live?
        Where is the home of {s}?
        What is the home town of {s}?""")),
    "job": ("job", lines("""
        {S} works as a {job}.
        {S} is a {job}.
        {S} is a {job} by trade.
        {S} earns a living as a {job}.
        {P} job is that of a {job}.
        {S} trained as a {job} and still works as one."""), lines("""
        What does {s} do?
        What is the job of {s}?
        What does {s} do for a living?
        What does {s} work as?
        What is the profession of {s}?
        What is {s}'s job?""")),
    "employer": ("org", lines("""
        {S} works for {employer}.
        {S} is employed by {employer}.
        {P} employer is {employer}.
        {S} has worked for {employer} since leaving school.
        {S} joined {employer} some years ago and works there today."""), lines("""
        Who does {s} work for?
        Where does {s} work?
        Which company does {s} work for?
        Who employs {s}?
        What is the employer of {s}?
        Who is {s}'s employer?""")),
    "born_at": ("place", lines("""
        {S} was born in {born_at}.
        {S} comes from {born_at}.
        {P} birthplace is {born_at}.
        {S} grew up in {born_at}, having been born there."""), lines("""
        Where was {s} born?
        Where does {s} come from?
        What is the birthplace of {s}?
        In which place was {s} born?""")),
    "born_in": ("year", lines("""
        {S} was born in {born_in}.
        {S} came into the world in {born_in}.
        {P} year of birth is {born_in}."""), lines("""
        When was {s} born?
        In which year was {s} born?
        What year was {s} born in?
        What is the year of birth of {s}?""")),
    "pet": ("pet", lines("""
        {S} has a pet {pet}.
        {S} keeps a {pet}.
        {P} pet is a {pet}.
        A {pet} lives in the house of {s}."""), lines("""
        What pet does {s} have?
        What animal does {s} keep?
        Which animal lives in the house of {s}?
        What kind of pet does {s} keep?""")),
    "hobby": ("hobby", lines("""
        {S} enjoys {hobby}.
        {P} hobby is {hobby}.
        In the evenings {s} likes {hobby}.
        {S} spends every free hour on {hobby}.
        {S} is fond of {hobby}."""), lines("""
        What is the hobby of {s}?
        What is {s}'s hobby?
        What does {s} enjoy?
        What does {s} like to do?
        What does {s} like?""")),
    "age": ("age", lines("""
        {S} is {age} years old.
        {S} has just turned {age}.
        {S}, now {age}, is in good health.
        At the age of {age}, {s} is still busy."""), lines("""
        How old is {s}?
        What is the age of {s}?
        What is {s}'s age?""")),
    "drives": ("vehicle", lines("""
        {S} drives a {drives}.
        {S} owns a {drives}.
        {S} gets to work in a {drives}.
        {P} car is a {drives}."""), lines("""
        What does {s} drive?
        What car does {s} drive?
        Which vehicle does {s} own?
        What kind of car does {s} have?""")),
    "spouse": ("person", lines("""
        {S} is married to {spouse}.
        {S} married {spouse} in spring.
        {spouse} is married to {s}."""), lines("""
        Who is {s} married to?
        Who did {s} marry?
        To whom is {s} married?
        Who is the spouse of {s}?""")),
    "friend": ("person", lines("""
        {S} has been a friend of {friend} since school.
        {P} best friend is {friend}.
        {S} calls {friend} a close friend."""), lines("""
        Who is the best friend of {s}?
        Who is a friend of {s}?
        Who is {s}'s friend?""")),
    "salary": ("amount", lines("""
        {S} earns {salary} a month.
        {P} salary is {salary}.
        {S} is paid {salary} every month."""), lines("""
        How much does {s} earn?
        What is the salary of {s}?
        How much is {s} paid?
        What does {s} earn?""")),
    "phone": ("phone", lines("""
        {P} phone number is {phone}.
        {S} can be reached at {phone}.
        To reach {s}, call {phone}."""), lines("""
        What is the phone number of {s}?
        What number can {s} be reached at?
        What is {s}'s phone number?
        How can {s} be reached?""")),
}, lines("""
    {S} is a {job} from {born_at}.
    {S} is a {job} and lives in {home}.
    {S} lives in {home} and works as a {job}.
    {S}, a {job}, lives in {home}.
    {S} was born in {born_at} in {born_in}.
    {S}, born in {born_in}, works as a {job} for {employer}.
    {S} works for {employer} as a {job}.
    {S} works as a {job} and earns {salary} a month.
    {S} is {age} years old and lives in {home}.
    {S} is a {job}, drives a {drives} and enjoys {hobby}.
    {S} lives in {home} with a {pet}.
    {S} was born in {born_at} but now lives in {home}."""))

ORG = Kind("company", None, {
    "founder": ("person", lines("""
        {S} was founded by {founder}.
        {founder} founded {s}.
        The founder of {s} is {founder}.
        {S} was started by {founder} with borrowed money."""), lines("""
        Who founded {s}?
        Who is the founder of {s}?
        Who started {s}?
        By whom was {s} founded?""")),
    "founded": ("year", lines("""
        {S} was founded in {founded}.
        {S} has existed since {founded}.
        {S} opened its doors in {founded}."""), lines("""
        When was {s} founded?
        In which year was {s} founded?
        Since when has {s} existed?
        What year was {s} founded in?""")),
    "head": ("person", lines("""
        {S} is led by {head}.
        The director of {s} is {head}.
        {head} is the director of {s}.
        {head} runs {s} today."""), lines("""
        Who leads {s}?
        Who runs {s}?
        Who is the director of {s}?
        Who is the head of {s}?""")),
    "owner": ("person", lines("""
        {S} is owned by {owner}.
        The owner of {s} is {owner}.
        {S} belongs to {owner}.
        {owner} bought {s} and owns it now."""), lines("""
        Who owns {s}?
        Who is the owner of {s}?
        To whom does {s} belong?
        Who does {s} belong to?""")),
    "seat": ("place", lines("""
        {S} has its headquarters in {seat}.
        {S} is based in {seat}.
        The head office of {s} is in {seat}.
        {S} has its seat in {seat}."""), lines("""
        Where is {s} based?
        Where does {s} have its headquarters?
        In which town is {s} based?
        Where is the head office of {s}?""")),
    "makes": ("goods", lines("""
        {S} sells {makes}.
        {S} makes {makes}.
        {S} is known for its {makes}.
        The main product of {s} is {makes}."""), lines("""
        What does {s} sell?
        What does {s} make?
        What is the main product of {s}?
        What is {s} known for?""")),
    "staff": ("count", lines("""
        {S} employs {staff} people.
        {S} has {staff} employees.
        {staff} people work at {s}."""), lines("""
        How many people does {s} employ?
        How many employees does {s} have?
        How many people work at {s}?""")),
    "profit": ("amount", lines("""
        {S} made a profit of {profit} last year.
        Last year the profit of {s} was {profit}.
        {S} earned {profit} last year."""), lines("""
        What was the profit of {s}?
        How much did {s} earn last year?
        How much profit did {s} make?""")),
}, lines("""
    {S} was founded in {founded} by {founder}.
    {S} was founded by {founder} in {founded}.
    {S}, based in {seat}, sells {makes}.
    {S} is based in {seat} and is led by {head}.
    {S} makes {makes} and employs {staff} people.
    {S} belongs to {owner} and has {staff} employees.
    {founder} founded {s} in {founded}, and today {head} runs it."""))

ORDER = Kind("order", lines("""
    order | order | delivery | shipment | parcel | package | invoice | last order | first shipment
    spring order | winter delivery | new order | large shipment | second delivery"""), {
    "sender": ("person", lines("""
        {S} was placed by {sender}.
        {sender} placed {s}.
        {S} comes from {sender}.
        {S} was sent by {sender}."""), lines("""
        Who placed {s}?
        Who sent {s}?
        By whom was {s} placed?
        Who does {s} come from?""")),
    "receiver": ("person", lines("""
        {S} is addressed to {receiver}.
        {receiver} will receive {s}.
        {S} goes to {receiver}.
        {S} is meant for {receiver}."""), lines("""
        Who will receive {s}?
        To whom is {s} addressed?
        Who is {s} for?
        Who does {s} go to?""")),
    "holds": ("goods", lines("""
        {S} contains {holds}.
        {S} is for {holds}.
        {S} consists of {holds}.
        Inside {s} are {holds}."""), lines("""
        What does {s} contain?
        What is in {s}?
        What does {s} consist of?
        What was ordered in {s}?""")),
    "costs": ("amount", lines("""
        {S} costs {costs}.
        The price of {s} is {costs}.
        The bill for {s} comes to {costs}.
        {costs} must be paid for {s}."""), lines("""
        How much does {s} cost?
        How much does {s} cost?
        What is the price of {s}?
        What does {s} cost?
        How much must be paid for {s}?""")),
    "arrives": ("date", lines("""
        {S} arrives on {arrives}.
        {S} will arrive on {arrives}.
        {S} is due on {arrives}.
        {S} is expected on {arrives}."""), lines("""
        When does {s} arrive?
        When will {s} arrive?
        When is {s} due?
        On what date is {s} expected?""")),
    "goes_to": ("place", lines("""
        {S} is to be delivered to {goes_to}.
        {S} goes by road to {goes_to}.
        The destination of {s} is {goes_to}.
        {S} must be brought to {goes_to}."""), lines("""
        Where is {s} to be delivered?
        What is the destination of {s}?
        Where does {s} go?
        Where must {s} be brought?""")),
    "carrier": ("org", lines("""
        {S} is carried by {carrier}.
        {carrier} will deliver {s}.
        The carrier of {s} is {carrier}."""), lines("""
        Who will deliver {s}?
        Who is the carrier of {s}?
        Which company delivers {s}?
        By which company is {s} carried?""")),
    "number": ("code", lines("""
        {S} has the number {number}.
        The number of {s} is {number}.
        {S} is listed under {number}."""), lines("""
        What is the number of {s}?
        Which number does {s} have?
        Under what number is {s} listed?""")),
}, lines("""
    {S} contains {holds} and costs {costs}.
    {sender} placed {s} for {holds}.
    {S} was placed by {sender} and arrives on {arrives}.
    {S} goes to {receiver} and is due on {arrives}.
    {S} will arrive on {arrives} in {goes_to}.
    {S} has the number {number} and costs {costs}.
    {carrier} will deliver {s} on {arrives}."""))

EVENT = Kind("event", lines("""
    meeting | meeting | concert | festival | trial | wedding | auction | conference | exhibition | lecture
    hearing | race | dinner | inspection | workshop | board meeting | spring fair | town meeting
    opening | funeral | tournament"""), {
    "held_on": ("date", lines("""
        {S} takes place on {held_on}.
        {S} will be held on {held_on}.
        The date of {s} is {held_on}.
        {S} was moved to {held_on}.
        {S} begins on {held_on}."""), lines("""
        When does {s} take place?
        When is {s}?
        When will {s} be held?
        What is the date of {s}?
        On what date does {s} begin?""")),
    "held_in": ("place", lines("""
        {S} takes place in {held_in}.
        {S} will be held in {held_in}.
        The town of {held_in} is host to {s}.
        Guests travel to {held_in} for {s}."""), lines("""
        Where does {s} take place?
        Where is {s}?
        Where will {s} be held?
        Which town is host to {s}?
        In which town is {s} held?""")),
    "leader": ("person", lines("""
        {S} is led by {leader}.
        {S} is chaired by {leader}.
        {leader} will lead {s}.
        The chair of {s} is {leader}."""), lines("""
        Who leads {s}?
        Who chairs {s}?
        Who will lead {s}?
        Who is the chair of {s}?""")),
    "planner": ("person", lines("""
        {S} was organised by {planner}.
        {planner} organised {s}.
        {planner} made all the plans for {s}.
        The organiser of {s} is {planner}."""), lines("""
        Who organised {s}?
        Who is the organiser of {s}?
        By whom was {s} organised?
        Who made the plans for {s}?""")),
    "clock": ("clock", lines("""
        {S} starts at {clock}.
        {S} begins at {clock}.
        At {clock} the doors open for {s}."""), lines("""
        At what time does {s} start?
        What time does {s} begin?""")),
    "guests": ("count", lines("""
        {guests} guests are expected at {s}.
        {S} has room for {guests} guests.
        {guests} people will attend {s}."""), lines("""
        How many guests are expected at {s}?
        How many people will attend {s}?
        How many guests has {s} room for?""")),
    "fee": ("amount", lines("""
        A ticket for {s} costs {fee}.
        The entrance fee for {s} is {fee}.
        Guests of {s} pay {fee}."""), lines("""
        How much is a ticket for {s}?
        What is the entrance fee for {s}?
        How much do guests of {s} pay?""")),
    "payer": ("org", lines("""
        {S} is paid for by {payer}.
        The sponsor of {s} is {payer}.
        {payer} pays for {s}."""), lines("""
        Who pays for {s}?
        Who is the sponsor of {s}?
        Which company sponsors {s}?""")),
}, lines("""
    {S} takes place in {held_in} on {held_on}.
    {S} will be held on {held_on} in {held_in}.
    {S}, organised by {planner}, begins on {held_on}.
    {leader} will lead {s} in {held_in}.
    {S} begins at {clock} and {guests} guests are expected.
    {S} was organised by {planner} and is chaired by {leader}."""))

THING = Kind("thing", lines("""
    painting | house | boat | ring | horse | clock | piano | statue | old mill | farm | garden
    violin | warehouse | car | necklace | manuscript | vase | library | bridge | tower | hotel | cottage
    sculpture | carpet | sword | telescope | lighthouse | ferry"""), {
    "owner": ("person", lines("""
        {S} belongs to {owner}.
        The owner of {s} is {owner}.
        {owner} owns {s}.
        {owner} is the owner of {s}.
        {S} is the property of {owner}."""), lines("""
        Who owns {s}?
        Who is the owner of {s}?
        To whom does {s} belong?
        Who does {s} belong to?
        Whose property is {s}?""")),
    "buyer": ("person", lines("""
        {S} was bought by {buyer}.
        {buyer} bought {s}.
        {buyer} is the buyer of {s}."""), lines("""
        Who bought {s}?
        Who is the buyer of {s}?
        By whom was {s} bought?""")),
    "seller": ("person", lines("""
        {S} was sold by {seller}.
        {seller} sold {s}.
        The seller of {s} is {seller}."""), lines("""
        Who sold {s}?
        Who is the seller of {s}?
        By whom was {s} sold?""")),
    "maker": ("person", lines("""
        {S} was made by {maker}.
        {maker} made {s}.
        {S} is the work of {maker}."""), lines("""
        Who made {s}?
        Whose work is {s}?
        By whom was {s} made?""")),
    "price": ("amount", lines("""
        {S} was sold for {price}.
        {S} cost {price}.
        The price of {s} was {price}.
        {S} changed hands for {price}."""), lines("""
        How much did {s} cost?
        What was the price of {s}?
        For how much was {s} sold?
        What did {s} cost?""")),
    "made_in": ("year", lines("""
        {S} dates from {made_in}.
        {S} was made in {made_in}.
        {S} goes back to {made_in}."""), lines("""
        When was {s} made?
        From what year does {s} date?
        In which year was {s} made?""")),
    "color": ("color", lines("""
        {S} is {color}.
        {S} has been painted {color}.
        The colour of {s} is {color}."""), lines("""
        What colour is {s}?
        What color is {s}?
        What is the colour of {s}?
        Which colour does {s} have?""")),
    "stands": ("place", lines("""
        {S} can be found in {stands}.
        {S} is now in {stands}.
        Visitors come to {stands} to see {s}."""), lines("""
        Where is {s}?
        Where can {s} be found?
        Where is {s} now?
        In which town is {s}?""")),
    "mass": ("mass", lines("""
        {S} weighs {mass}.
        The weight of {s} is {mass}."""), lines("""
        How much does {s} weigh?
        What is the weight of {s}?
        How heavy is {s}?""")),
}, lines("""
    {S} was bought by {buyer} for {price}.
    {seller} sold {s} to {buyer}.
    {S} was sold by {seller} for {price}.
    {S} was made by {maker} in {made_in}.
    {S} belongs to {owner} and is now in {stands}.
    {S} is {color} and dates from {made_in}."""))

KINDS = [PAPER, PAPER, PERSON, PERSON, PERSON, ORG, ORDER, EVENT, THING]

WORDS = {
    "job": """baker|carpenter|teacher|nurse|judge|lawyer|farmer|tailor|painter|sailor|doctor|clerk|plumber|pilot
        |librarian|gardener|cook|blacksmith|journalist|mechanic|potter|surveyor|miner|dentist|shepherd|waiter
        |translator|musician|locksmith|butcher|chemist|bus driver|tax inspector|ship broker|glass blower
        |photographer|bricklayer|barber|weaver|piano tuner|forester|notary|fisherman|historian""",
    "pet": """dog|cat|parrot|goat|rabbit|tortoise|snake|horse|hamster|goose|grey cat|black dog|white rabbit
        |young fox|tame crow|brown dog|donkey|canary|lizard|spotted dog|ferret|old tortoise""",
    "hobby": """chess|fishing|painting|long walks|sailing|gardening|reading|cooking|singing|card games|running
        |old maps|collecting stamps|skating|jazz music|bird watching|playing the flute|dancing|climbing
        |repairing clocks|cycling|knitting|swimming|playing the violin|photography|baking bread""",
    "goods": """wool|timber|copper wire|glass bottles|oranges|steel pipes|coffee beans|paper|salt|roof tiles
        |furniture|bicycles|olive oil|cotton shirts|cement|books|lamps|apples|tea|wine barrels|leather shoes
        |spare parts|office chairs|medical gloves|window frames|cheese|honey|bricks|winter coats|potatoes
        |printing ink|solar panels|rice|garden tools|wooden toys|candles|silk|flour|batteries|soap""",
    "color": "red|blue|green|white|black|yellow|grey|dark blue|brown|pale green|orange|purple|silver|pink|dark red",
    "spot": """the town archive|a steel safe|the upper drawer|the main office|a bank vault|the back room
        |the cellar|a wooden box|the library|the church|a blue folder|the city hall|the attic|the iron chest
        |a locked cabinet|the desk of the notary|the court house|the reading room|a green binder""",
    "vehicle": """red van|blue truck|small car|motorcycle|white bus|green tractor|grey jeep|black taxi|sports car
        |yellow van|rusty pickup|silver car|delivery van|brown lorry|blue scooter|old bicycle|white car""",
}
WORDS = {name: [word.strip() for word in text.replace("\n", " ").split("|")] for name, text in WORDS.items()}

# Sentences that answer nothing; {person}, {place} and {thing} bring names in, so that a name alone
# does not give an answer away.
FILLERS = lines("""
    The weather was mild that week.
    Nobody raised any objection.
    A copy was sent to the archive.
    The talks had lasted longer than anyone expected.
    It rained for most of the afternoon.
    Coffee was served, and the mood was good.
    All of this was recorded in the minutes.
    The road was closed for repairs at the time.
    Some questions were left for another day.
    Most of the neighbours already knew about it.
    The rest is described in the notes below.
    There was little else to report.
    The file was closed at the end of the month.
    As far as is known, nothing has changed since then.
    The work was finished without delay.
    The newspapers wrote about it at length.
    A small crowd had gathered outside.
    Everyone was glad when it was over.
    No further meeting was planned.
    These details were checked twice.
    {person} was not there that day.
    {person} sent a short letter about the matter.
    {person} had asked for more time.
    {person} went home early.
    {person} was pleased with the news.
    {person} spoke first, and at some length.
    {person} and {person} discussed the matter over lunch.
    {person} paid a short visit to {place}.
    {person} read the papers but did not sign anything.
    {person} had no part in it.
    {person} waited outside with {person}.
    The train from {place} was late again.
    In {place} people talked of little else.
    A visitor from {place} asked many questions.
    {person} had heard about {thing} before.
    {person} asked a question about {thing}.
    {person} had never heard of {thing}.
    {person} refused to sign anything.
    Nobody in {place} knew anything about {thing}.""")

TITLES = lines("""
    Notes from {place}
    Report
    A summary of the facts
    Minutes
    News from {place}
    For the file
    The {place} papers
    Letter to {person}
    Memo
    Weekly report from {place}
    Background""")
