"""calling"""

from vivavoce.console.visit import Page

PATH = "/console/calling"
PAGES: tuple[Page, ...] = ()
