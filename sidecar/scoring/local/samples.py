"""Short texts to try a model on: whether a faster way to run it still ranks as the exact one does."""

from __future__ import annotations

QUERIES = (
    "how to keep bread fresh",
    "what causes high tide",
    "replace a broken laptop screen",
    "train connection from the airport to the city",
)

PASSAGES = (
    "Bread stays fresh for two or three days in a paper bag at room temperature; in the refrigerator it dries out.",
    "Freeze a loaf on the day it was baked, cut into slices, and toast each slice straight from the freezer.",
    "Sourdough keeps longer than white bread made with yeast, because its acids slow down the growth of mould.",
    "A bread knife with a serrated blade cuts the crust without pressing the crumb together.",
    "The bakery on Market Street opens at six in the morning and sells its last rolls around noon.",
    "To make breadcrumbs, dry old bread in the oven at a low temperature and grind it in a food processor.",
    "High tide comes about every twelve and a half hours, as the earth turns under the pull of the moon.",
    "When sun, moon and earth stand in one line, their forces add up and the tides are higher: a spring tide.",
    "The harbour can be entered by large ships at high tide only, when the water stands above the sand bank.",
    "Tide tables list the times of high and low water for a whole year, worked out from earlier measurements.",
    "Waves are caused by wind that blows over the surface of the sea; they have nothing to do with the tides.",
    "The moon is about 384,000 kilometres away and takes a little more than 27 days for one orbit.",
    "Switch the laptop off, take out the battery, remove the bezel, and unplug the cable behind the broken screen.",
    "A replacement screen must have the same connector and resolution as the one that was built in.",
    "If the picture flickers only when the lid is moved, the cable of the screen is worn and not the panel itself.",
    "Our repair shop replaces broken phone displays within an hour; laptops take two working days.",
    "The laptop has a screen of fourteen inches, sixteen gigabytes of memory and a battery that lasts ten hours.",
    "Clean the screen with a soft cloth and a little water; alcohol can damage its coating.",
    "A train leaves the airport for the central station every fifteen minutes and takes twenty-five minutes.",
    "Tickets for the airport train are sold at machines on the platform and in the railway's app.",
    "The night bus runs every hour between the airport and the city while there are no trains.",
    "A taxi from the airport to the city centre costs about forty euros, more at night and on Sundays.",
    "The airport has two terminals, which are connected by a walkway and a small train without a driver.",
    "Trains between the two cities run every half hour; seats can be booked up to six months ahead.",
    "The city museum shows paintings of the nineteenth century and is closed on Mondays.",
    "The function returns the number of items in a list, or zero if the list is empty.",
    "Water the tomatoes in the morning, at the root, and remove the shoots that grow between stem and leaf.",
    "The committee met on Tuesday to discuss the budget for the coming year and agreed on most of its points.",
    "She finished the marathon in under four hours, although it rained from the first kilometre to the last.",
    "Version 2.4 mends a fault that could lose messages when the connection broke during an upload.",
)
