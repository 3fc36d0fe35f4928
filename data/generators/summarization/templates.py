"""Templates of the e-mails: news with their subject lines, and sentences that are not news.

A slot in braces has the same value in the news and in the subject. ``{other_…}`` is a different
value of the same kind, which occurs in the news but must not occur in the subject. ``corpus.py``
fills the slots.
"""

from __future__ import annotations

GREETINGS = ("Dear all,", "Hello everybody,", "Hi {person},", "Dear {person},", "Good morning,")
CLOSINGS = ("Best, {person}", "Kind regards, {person}", "Thanks, {person}", "See you, {person}")

# subject, and texts with this news: stated in one place, or to be combined from two places
NEWS = (
    (
        "{Event} with {company} moved to {day}, {time}",
        (
            "The {event} with {company} has been moved from {other_day} to {day} at {time}.",
            "{person} asked us to postpone the {event} with {company}, so we now meet on {day} at"
            " {time} and not on {other_day}.",
            "We have to move the {event} with {company}. Instead of {other_day} at {other_time} it"
            " takes place on {day} at {time}.",
            "The {event} with {company} was planned for {earlier_day}. It will be {days_later}"
            " later, at {time}.",
            "There is a {event} with {other_company} on {other_day} and one with {company} on"
            " {earlier_day}. The first stays, the second will be {days_later} later, at {time}.",
        ),
    ),
    (
        "{Event} with {company} cancelled",
        (
            "Unfortunately the {event} with {company} on {day} will not take place.",
            "{person} is ill, so I had to call off the {event} with {company} on {day}.",
            "There will be no {event} with {company} on {day} after all.",
            "On {day} we have a {event} with {company} and one with {other_company}. Only the"
            " second will take place.",
            "The {event} with {company} and the {other_event} with {other_company} are both on"
            " {day}. Nobody can come to the {event}, so I called it off.",
        ),
    ),
    (
        "Shipment to {place} delayed until {day}",
        (
            "The {goods} for {place} will not arrive before {day} {reason}.",
            "{company} cannot deliver the {goods} to {place} on {other_day} {reason}. The new date"
            " is {day}.",
            "Our customers in {place} must wait for their {goods} until {day} {reason}.",
            "Today we sent {goods} to {place} and {other_goods} to {other_place}. The {goods} will"
            " not arrive before {day} {reason}.",
            "The truck goes to {other_place} first and to {place} after that. It reaches"
            " {other_place} on time, but the second stop has to wait until {day} {reason}.",
        ),
    ),
    (
        "{name} joins us as {role} in {month}",
        (
            "In {month} we welcome {name}, who will work with us as {role}.",
            "I am happy to tell you that {name} from {place} starts as {role} in {month}.",
            "We have found a new {role}: {name}, until now at {company}, begins in {month}.",
            "{name} and {other_name} applied for the post of {role}. We took the first, who begins"
            " in {month}.",
            "{other_name} and {name} both want to be our {role}. We chose the second; the first day"
            " is in {month}.",
        ),
    ),
    (
        "{name} leaves at the end of {month}",
        (
            "After {years} years with us {name} will go to {company} at the end of {month}.",
            "{name} told me yesterday that {month} will be the last month here.",
            "At the end of {month} we have to say goodbye to {name}, our {role}.",
            "You all know {name}, our {role}, and {other_name}, our {other_role}. The {role} leaves"
            " us at the end of {month}.",
            "{other_name} is our {other_role}, {name} our {role}. We have to find a new {role},"
            " because in {month} somebody will work here for the last time.",
        ),
    ),
    (
        "Invoice {number} from {company} not paid",
        (
            "I noticed that invoice {number} from {company} is still open.",
            "{company} is waiting for our money: nobody has settled invoice {number}.",
            "{person} from {company} called me because invoice {number} is overdue.",
            "There were two invoices, {number} from {company} and {other_number} from"
            " {other_company}. Only the second has been paid.",
            "We got invoice {other_number} from {other_company} and invoice {number} from"
            " {company}. The first one is settled, the other is not.",
        ),
    ),
    (
        "Found: {thing} in the {room}",
        (
            "Somebody left a {thing} in the {room} on {day}.",
            "When I locked the {room} yesterday, I saw a {thing} that nobody has asked for.",
            "A {thing} has been lying in the {room} since {day}. Whose is it?",
            "There was a {thing} in the {room} and a {other_thing} in the {other_room}. The"
            " {other_thing} is {person}'s. Whose is the other?",
        ),
    ),
    (
        "{Machine} in {place} out of order until {day}",
        (
            "The {machine} in our {place} branch broke down and can only be repaired on {day}.",
            "Colleagues in {place} have to do without the {machine} until {day}.",
            "The technician from {company} comes on {day}; until then the {machine} in {place} does"
            " not work.",
            "The {machine} in {place} and the {other_machine} in {other_place} broke down. The"
            " {other_machine} works again, for the rest we have to wait until {day}.",
            "There was no {machine} in {other_place} and {place} today. The technician has been to"
            " the first and goes to the second on {day}.",
        ),
    ),
    (
        "{Paper} due on {day}",
        (
            "Please send me your {paper} by {day}.",
            "I still need the {paper} from each of you, {day} is the last day.",
            "The office in {place} wants to see the {paper} on {day} at the latest.",
            "The {other_paper} can wait until {other_day}, but the {paper} has to be here on"
            " {day}.",
            "I told you that the {paper} is due on {earlier_day}. You have {days_later} more.",
        ),
    ),
    (
        "{name} from {company} visits on {day}",
        (
            "On {day} {name} will come over from {company} to see the new hall.",
            "We expect a guest on {day}: {name}, who runs the {place} office of {company}.",
            "{name} of {company} is in town and wants to meet us on {day}.",
            "We asked {other_name} of {other_company} and {name} of {company} to visit us on {day}."
            " The first has no time.",
            "{name} works for {company}, {other_name} for {other_company}. The guest from {company}"
            " comes on {day}.",
        ),
    ),
    (
        "Contract with {company} signed",
        (
            "Yesterday {name} of {company} finally put a signature under our contract.",
            "Good news: from {month} on we work for {company}, all papers are signed.",
            "{person} came back from {place} with the signed contract of {company}.",
            "We sent contracts to {company} and to {other_company}. Only the first came back with a"
            " signature.",
            "{name} is from {company}, {other_name} from {other_company}. {name} signed the"
            " contract yesterday.",
        ),
    ),
)
DISTRACTORS = (
    "The {event} with {company} stays on {day} at {time}.",
    "As agreed, the {event} with {company} is on {day}.",
    "The {goods} for {place} arrived on time.",
    "{name} is back from {place} since {day}.",
    "{name} and {person} work from {place} on {day}.",
    "Invoice {number} from {company} has been settled.",
    "The {machine} in {place} works again.",
    "Thank you for the {paper}, it is complete.",
    "{company} has a new address in {place}.",
    "{name} of {company} sends you kind regards.",
    "Nobody has found the {thing} that {person} lost in the {room}.",
    "We have been working with {company} since {month}.",
    "{name} from {company} was here on {day} and liked the new hall.",
    "{name}, our {role}, has been with us for {years} years.",
    "The contract with {company} is still with our lawyers.",
    "I hope you had a good weekend.",
    "Thank you for your quick reply.",
    "Please let me know if you have any questions.",
    "The canteen serves fish on {day}.",
    "I am in the office until {time} today.",
    "Many thanks to {person} for the cake.",
    "The weather in {place} was lovely.",
)
