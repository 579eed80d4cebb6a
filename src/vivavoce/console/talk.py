"""talk"""

from vivavoce.console.visit import Page

PATH = "/console/talk"
PAGES: tuple[Page, ...] = ()
